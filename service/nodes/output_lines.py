"""Output of a node's processes, passed on line by line with the name of its source."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

__all__ = ["OutputLines", "print_line"]

_KEPT_LINES: Final = 40
_LONGEST: Final = 4000
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_lock = threading.Lock()


class OutputLines:
    """A pipe whose lines go to stdout with a prefix, so that a container's log has them all, and each is whole.

    Thread safety: works in a thread of its own, which ends when all writers have closed the pipe.

    Args:
        source: name of what writes.
        dropped: pattern of lines that are kept in `last` and not printed.
        awaited: words of a line that `has_awaited` tells of.

    Attributes:
        writable: the end for processes to write to.
    """

    def __init__(self, source: str, *, dropped: str | None = None, awaited: str | None = None) -> None:
        self._source, self._dropped = source, None if dropped is None else re.compile(dropped)
        self._kept: deque[str] = deque(maxlen=_KEPT_LINES)
        self._awaited, self.has_awaited = awaited, False
        self._is_closed = False
        readable, self.writable = os.pipe()
        self._thread = threading.Thread(target=self._pass_on, args=(readable,), name=f"output of {source}", daemon=True)
        self._thread.start()

    @property
    def last(self) -> Sequence[str]:
        """The last lines, the newest at the end."""
        return list(self._kept)

    def mute(self) -> None:
        """Print no further line."""
        self._dropped = re.compile("")

    def close(self, seconds: float = 1.0) -> None:
        """Close this process's end, and wait some seconds for what others still write; may be called again."""
        if not self._is_closed:
            os.close(self.writable)
            self._is_closed = True
        self._thread.join(seconds)

    def _pass_on(self, readable: int) -> None:
        with open(readable, encoding="utf-8", errors="replace", newline=None) as lines:
            for line in lines:
                text = _COLOUR.sub("", line.rstrip())[:_LONGEST]
                if text:
                    self._kept.append(text)
                    self.has_awaited |= self._awaited is not None and self._awaited in text
                    if self._dropped is None or not self._dropped.search(text):
                        print_line(self._source, text)


def print_line(source: str, text: str) -> None:
    """Print a line with the name of its source, whole beside those of other threads; nobody may read it any longer."""
    with _lock:
        try:
            sys.stdout.write(f"{source}: {text}\n")
            sys.stdout.flush()
        except (OSError, ValueError):
            pass
