"""Processes that are kept alive: a process that ends by itself is started again, after a wait that grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from search_spaces import MeltpointError

__all__ = ["Keepable", "KeptProcess"]

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds until a process is started again: doubled with each end."""

STEADY_SECONDS = 60.0
"""A process that has run for so long is started again after the first wait."""

_POLL_SECONDS = 0.1


class Keepable(Protocol):
    """A process that runs, such as `ChildProcess` or `MlflowServer`."""

    def exit_code(self) -> int | None:
        """Return the exit code, or None while the process runs."""

    def last_line(self) -> str:
        """Return the last line that the process printed, or ""."""

    def end(self) -> None:
        """Ask the process to end, without waiting."""

    def close(self) -> None:
        """End the process, and wait."""

    def kill(self) -> None:
        """Kill the process at once, and wait."""


class KeptProcess:
    """Starts a process from a thread of its own, and again whenever the process ends, until `close`.

    Ownership: owns the process. Thread safety: any thread may call.

    Args:
        name: the process, for messages.
        start: starts the process. A MeltpointError counts as an end.
        on_end: called with a sentence when the process has ended by itself.
    """

    def __init__(self, name: str, start: Callable[[], Keepable], on_end: Callable[[str], None]) -> None:
        self._name, self._start, self._on_end = name, start, on_end
        self._ending, self._killing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {name}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ask the process to end, without waiting."""
        self._ending.set()

    def kill(self) -> None:
        """Kill the process at once, without waiting; `wait` waits."""
        self._killing.set()
        self._ending.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the process has ended after `end` or `kill`; return whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _keep(self) -> None:
        wait = FIRST_WAIT
        while not self._ending.is_set():
            started = time.monotonic()
            reason = self._run()
            if reason is None:
                return
            wait = FIRST_WAIT if time.monotonic() - started >= STEADY_SECONDS else wait
            self._on_end(f"{self._name} ended ({reason}); started again in {wait:.0f} s")
            self._ending.wait(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    def _run(self) -> str | None:
        """Start the process and wait for its end; return why it ended, or None if it was asked to."""
        try:
            process = self._start()
        except MeltpointError as error:
            return str(error)
        while process.exit_code() is None and not self._ending.wait(_POLL_SECONDS):
            pass
        if self._ending.is_set():
            process.end()
            while process.exit_code() is None and not self._killing.wait(_POLL_SECONDS):
                pass
            if process.exit_code() is None:
                process.kill()
        code = process.exit_code()
        line = process.last_line()
        process.close()
        return None if self._ending.is_set() else f"exit code {code}{f': {line}' if line else ''}"
