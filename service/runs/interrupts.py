"""Interrupts by SIGINT (Ctrl-C) and SIGTERM: the first pauses a sweep in order, the second ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from service.signal_shields import SHIELD


class Interrupts:
    """Handles SIGINT and SIGTERM while entered: the first calls `first`, each further one raises KeyboardInterrupt.

    KeyboardInterrupt is raised only inside `breakable`, so that other steps, such as leaving Ray, are done in order.
    A signal outside `breakable` raises when `breakable` is entered next, and one inside a transaction of the ledger
    raises at its end.
    """

    def __init__(self, first: Callable[[str], None]) -> None:
        self._first = first
        self._count = 0
        self._breakable = self._due = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def breakable(self) -> Iterator[None]:
        """Let a second signal raise KeyboardInterrupt here."""
        try:
            self._breakable = True
            if self._due:
                self._due = False
                raise KeyboardInterrupt
            yield
        finally:
            self._breakable = False

    def insist(self) -> None:
        """Act as a second signal does; may be called from any thread."""
        self.expect_second()
        os.kill(os.getpid(), signal.SIGTERM)

    def expect_second(self) -> None:
        """Treat the next signal as a second one: nothing is left that could be ended in order."""
        self._count = max(self._count, 1)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            self._first(signal.Signals(number).name)
        elif not SHIELD.put_off(self._break_off):
            self._break_off()

    def _break_off(self) -> None:
        if self._breakable:
            raise KeyboardInterrupt
        self._due = True
