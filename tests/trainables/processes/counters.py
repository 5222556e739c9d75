"""An object for tests of calls, in a module that a fork server's processes can import."""

from __future__ import annotations

import os
from collections.abc import Callable

from search_spaces import MeltpointError


class Counter:
    """A sum of the numbers that `count` got."""

    def __init__(self, begin: int = 0) -> None:
        self.total = begin

    def count(self, number: int, *, progress: Callable[[int], None] = lambda _: None) -> int:
        """Add 1 `number` times; call `progress` with each total."""
        for _ in range(number):
            self.total += 1
            progress(self.total)
        return self.total

    def pid(self) -> int:
        """Return the number of the process that the object lives in."""
        return os.getpid()

    def refuse(self) -> None:
        """Raise an error of this project."""
        raise MeltpointError("the counter refuses")

    def fail(self) -> None:
        """Raise another error."""
        raise KeyError("nothing")


def make_counter(begin: int) -> Counter:
    """Make a counter, as a factory."""
    return Counter(begin)
