"""The janitor of a node: ends what a node has started, and removes its folder, however the node ended.

`python -m service.nodes.janitor FOLDER MARK` waits for the end of its stdin, a pipe from the node's main process, which
may write ids of sessions into it, a line each. It then kills every process whose environment has the MARK, a
`NAME=VALUE` that the node gave to all its processes, and every process of these sessions: some of Ray's write their
title over their environment.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["Janitor"]

_PATIENCE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.1


class Janitor:
    """The process. It is no part of the node: it has not the mark, and a session of its own.

    folder: removed at the end. mark: name and value of an environment variable of all processes of the node.
    """

    def __init__(self, folder: Path, mark: tuple[str, str]) -> None:
        environment = {name: value for name, value in os.environ.items() if name != mark[0]}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder), "=".join(mark)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
        )

    def add_session(self, leader: int) -> None:
        """Have the session of this process ended, too."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{leader}\n".encode())
        self._process.stdin.flush()

    def close(self) -> None:
        """Let it end everything that is left, and wait."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main(folder: str, mark: str) -> None:
    """Wait for the end of stdin, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends last
    sessions = {int(line) for line in sys.stdin.buffer.read().splitlines()}
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (pids := list(_left(mark.encode(), sessions))) and time.monotonic() < deadline:
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


def _left(mark: bytes, sessions: Container[int]) -> Iterator[int]:
    """Yield the processes with the mark or of the sessions; those that have ended already have no environment."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                environment = (entry / "environ").read_bytes()
                if environment and (mark in environment.split(b"\0") or os.getsid(int(entry.name)) in sessions):
                    yield int(entry.name)


if __name__ == "__main__":
    main(*sys.argv[1:])
