"""The keeper of a node's fork server: starts the server again at the same address when it dies."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from service.nodes.output_lines import OutputLines
from trainables.processes import ForkServer
from trainables.trials import PRELOAD

__all__ = ["ForkServerKeeper"]

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds until a server that died is started again: doubled with each end."""

STEADY_SECONDS: Final = 60.0
"""A server that has run for so long is started again after the first wait."""

_SHOWN_DEATHS: Final = 3
"""Deaths one after the other from which on the node is not healthy."""


class ForkServerKeeper:
    """Keeps one server whose processes train; `look` is to be called a few times a second.

    A trial goes on if the server dies. Thread safety: one thread calls.

    Args:
        folder: of the server's socket.
        environment: of the server and of the processes that it forks.
        say: prints a sentence.
    """

    def __init__(self, folder: str, environment: Mapping[str, str], *, say: Callable[[str], None]) -> None:
        self._folder, self._environment, self._say = folder, environment, say
        self._server: ForkServer | None = None
        self._lines: OutputLines | None = None
        self._wait, self._started, self._next_start = FIRST_WAIT, 0.0, 0.0
        self._deaths = 0
        self._trainers: dict[int, psutil.Process] = {}

    @property
    def problem(self) -> str | None:
        """The reason why trials cannot start, or None."""
        if self._deaths < _SHOWN_DEATHS:
            return None
        return f"the fork server has died {self._deaths} times, one after the other"

    def start(self) -> None:
        """Start the server."""
        Path(self._folder).mkdir(mode=0o700)
        self._lines = OutputLines("trials")
        self._started = time.monotonic()
        self._server = ForkServer(
            preload=PRELOAD, folder=self._folder, output=self._lines.writable, environment=self._environment
        )

    def look(self) -> None:
        """Start the server again if it has died, after a wait that grows."""
        now = time.monotonic()
        if self._server is not None:
            if now - self._started >= STEADY_SECONDS:
                self._deaths, self._wait = 0, FIRST_WAIT
            code = self._server.exit_code()
            if code is None:
                return
            self.close()
            self._deaths += 1
            self._say(f"the fork server ended (exit code {code}); started again in {self._wait:.0f} s")
            self._next_start = now + self._wait
            self._wait = min(self._wait * 2, LONGEST_WAIT)
        elif self._lines is None and self._started and now >= self._next_start:
            self.start()

    def trials(self) -> Sequence[int]:
        """Return the processes that train on the node."""
        if self._server is not None:
            with suppress(psutil.Error):
                for child in psutil.Process(self._server.pid).children():
                    self._trainers[child.pid] = child
        self._trainers = {pid: process for pid, process in self._trainers.items() if _lives(process)}
        return list(self._trainers)

    def pids(self) -> set[int]:
        """Return the server's process, if it has one."""
        return set() if self._server is None else {self._server.pid}

    def close(self) -> None:
        """End the server, and what it has forked if it still runs."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._lines is not None:
            self._lines.close()
            self._lines = None


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
