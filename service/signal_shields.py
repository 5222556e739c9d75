"""Sections of the main thread that no signal breaks off, such as a transaction, whose lock would outlive it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

__all__ = ["SHIELD", "SignalShield"]


class SignalShield:
    """Lets a handler of signals put off its exception while the main thread is inside the shield.

    Python may call a handler between any two steps, also between the begin of a transaction and the statement that
    will end it. An exception that a handler raises there leaves the transaction open, and the ledger locked for
    everybody, for as long as the exception's traceback lives.

    Thread safety: other threads may enter, without effect: Python calls handlers in the main thread alone.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._put_off: Callable[[], None] | None = None

    def __enter__(self) -> None:
        if _is_main_thread():
            self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _is_main_thread():
            self._depth -= 1
            if self._depth == 0 and self._put_off is not None:
                put_off, self._put_off = self._put_off, None
                put_off()

    def put_off(self, call: Callable[[], None]) -> bool:
        """Make the call once the main thread leaves the shield; return False if it is outside: nothing happens then."""
        if self._depth == 0:
            return False
        self._put_off = call
        return True


SHIELD = SignalShield()
"""The shield of this process."""


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident
