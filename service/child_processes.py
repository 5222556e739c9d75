"""Processes that end with the process that started them, however that ends, even by `kill -9`.

A guardian, `python -m service.child_processes`, stands between the two. Its stdin is a pipe from the process that
asked; once the pipe ends, the guardian ends the child's whole process group: first SIGTERM, and SIGKILL after a grace.
The grace is short if the process that asked has died, so that whoever takes its place meets nobody.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["ChildProcess"]

ORPHAN_SECONDS = 1.0
"""Time between SIGTERM and SIGKILL for a child whose parent has died."""

_PYTHON = sys.executable
_ORDERLY = b"end"


class ChildProcess:
    """A command that runs as a child, in a session of its own: Ctrl-C in a terminal does not reach it.

    What it prints is added to a log.

    Ownership: `close` or `kill` ends it. Thread safety: none of its methods may be called from two threads at once.

    Args:
        command: the program and its arguments.
        log: file to which what the child prints is added.
        grace_seconds: time between SIGTERM and SIGKILL when it is ended.
        environment: variables of the child; by default those of this process.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        grace_seconds: float = 10.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._grace_seconds = grace_seconds
        with log.open("ab") as file:
            self._log_start = file.tell()
            self._guardian = subprocess.Popen(
                [_PYTHON, "-m", __name__, str(grace_seconds), *command],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                start_new_session=True,
                env=environment,
            )

    def exit_code(self) -> int | None:
        """Return the exit code of the child, or None while it runs; a child ended by signal N gives 128 + N."""
        return self._guardian.poll()

    def wait(self, seconds: float | None = None) -> int:
        """Wait until the child has ended, and return its exit code. Raises subprocess.TimeoutExpired."""
        return self._guardian.wait(seconds)

    def last_line(self) -> str:
        """Return the last line that this child has printed, or "" if it has printed none."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            lines = file.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def end(self) -> None:
        """Ask the child to end, without waiting."""
        assert self._guardian.stdin is not None
        if not self._guardian.stdin.closed:
            with suppress(BrokenPipeError):
                self._guardian.stdin.write(_ORDERLY)
                self._guardian.stdin.flush()
            with suppress(BrokenPipeError):
                self._guardian.stdin.close()

    def close(self) -> None:
        """End the child, and wait until it has ended; after its grace it is killed."""
        self.end()
        self._guardian.wait()

    def kill(self) -> None:
        """Kill the child and its process group at once."""
        self.end()
        self._guardian.send_signal(signal.SIGTERM)
        self._guardian.wait()


def main(grace_seconds: float, command: Sequence[str]) -> int:
    """Run the command until it ends or stdin does; SIGTERM kills it at once. Returns the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until the child can be killed
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM}),
    )
    signal.signal(signal.SIGTERM, lambda *_: _signal_group(child.pid, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_stdin, args=(child.pid, grace_seconds), daemon=True).start()
    code = child.wait()
    _signal_group(child.pid, signal.SIGKILL)  # processes that the child left behind
    return 128 - code if code < 0 else code


def _end_with_stdin(pid: int, grace_seconds: float) -> None:
    """Wait for the end of stdin, then end the group: SIGTERM, and SIGKILL after the grace."""
    is_orderly = False
    while os.read(sys.stdin.fileno(), 1024):
        is_orderly = True
    _signal_group(pid, signal.SIGTERM)
    threading.Event().wait(grace_seconds if is_orderly else min(grace_seconds, ORPHAN_SECONDS))
    _signal_group(pid, signal.SIGKILL)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
