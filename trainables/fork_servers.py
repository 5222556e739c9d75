"""One process a node that loads torch once and forks every trial's process from itself, ready at once.

Python's own fork server (multiprocessing) serves only the process that started it, and Ray's workers are started by
Ray. Messages are pickled objects over a Unix socket in a folder that only its owner can enter.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from trainables.start_lines import StartLine

__all__ = ["DIED", "ForkServer", "ForkedRun", "ForkedRunError"]

Json = dict[str, Any]

DIED = "the trial's process died"

NICENESS = 10
"""Trials leave the driver, which gives them their work, the first place on a busy machine."""

_LOADED = "trainables.trial_runs"
_SOCKET = "socket"
_WATCH_SECONDS = 0.5
_CONNECT_SECONDS = 5.0
_PASSED_ON = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


class ForkedRunError(RuntimeError):
    """A trial's process ended, or what it did on a GPU raised."""


class ForkServer:
    """The server's process, which ends with the one that started it, however that ends.

    forked: from this process, which must have loaded `trainables.trial_runs` and have no threads; else it is a new
        one, which loads that while this one goes on.
    """

    def __init__(self, *, forked: bool = False) -> None:
        self._folder = tempfile.mkdtemp(prefix="meltpoint-fork-")
        self.address = str(Path(self._folder) / _SOCKET)
        life, self._life = os.pipe()
        if forked:
            self._pid = os.fork()
            if self._pid == 0:
                os.close(self._life)
                _serve_and_exit(self.address, life)
        else:
            command = [sys.executable, "-m", "trainables.fork_servers", self.address, str(life)]
            os.set_inheritable(life, True)
            self._pid = subprocess.Popen(command, pass_fds=[life], start_new_session=True).pid
        os.close(life)

    def close(self) -> None:
        """The server ends, and whatever it forked; one that still loads is not waited for."""
        os.close(self._life)
        with suppress(ChildProcessError, ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)
            os.waitpid(self._pid, 0)
        shutil.rmtree(self._folder, ignore_errors=True)


class ForkedRun:
    """A `TrialRun` in a process of its own. Raises ForkedRunError where that process ends or gives up.

    Made, it raises OSError where no fork server listens at `address`.

    line: the fields of a `StartLine`; log: the file to which whatever the process prints is added.
    """

    def __init__(self, address: str, *, threads: int, line: Mapping[str, Any], log: str) -> None:
        self._address = address
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self._connection = _connect(address)
        self._connection.send({"threads": threads, "line": dict(line), "log": log, "environment": passed})
        self.pid = int(self._received())

    def take(self, plan: Json) -> None:
        self._ask("take", plan)

    def step(self) -> Json:
        report: Json = self._ask("step")
        return report

    def close(self) -> None:
        """The process ends by itself when nobody listens any more."""
        self._connection.close()

    def _ask(self, name: str, *arguments: object) -> Any:
        try:
            self._connection.send((name, arguments))
        except OSError:
            raise self._ended() from None
        failed, result = self._received()
        if failed:
            raise ForkedRunError(result)
        return result

    def _received(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            raise self._ended() from None

    def _ended(self) -> ForkedRunError:
        """Ask the server, which is the parent, how the process ended."""
        with suppress(EOFError, OSError):
            asked = _connect(self._address, patience=0)
            asked.send({"ended": self.pid})
            return ForkedRunError(f"{DIED}: {asked.recv()}")
        return ForkedRunError(f"{DIED}, and the one that had started it")


def _connect(address: str, patience: float = _CONNECT_SECONDS) -> Connection:
    """Raises OSError where nobody listens there in time."""
    deadline = time.monotonic() + patience
    while True:
        with socket.socket(socket.AF_UNIX) as connecting:
            try:
                connecting.connect(address)
                return Connection(connecting.detach())
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() >= deadline:
                    raise
        time.sleep(0.05)


def serve(address: str, life: int) -> None:
    """Fork a process for each that asks, until the pipe `life` ends; whoever comes while torch still loads waits."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        import_module(_LOADED)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from now on it has what it must end
        pids: set[int] = set()
        while True:
            if life in wait([server, life]):
                _end(pids)
                return
            taken, _ = server.accept()
            with Connection(taken.detach()) as connection, suppress(EOFError, OSError):  # whoever asked may have died
                request = connection.recv()
                if "ended" in request:
                    connection.send(_how_it_ended(request["ended"], pids))
                    continue
                pid = os.fork()
                if pid == 0:
                    _run_and_exit(server, life, connection, request)
                pids.add(pid)


def _run_and_exit(server: socket.socket, life: int, connection: Connection, request: Json) -> None:
    """All that a forked process does: it never goes on as the server that it was."""
    try:
        server.close()
        os.close(life)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _run(connection, **request)
    finally:
        os._exit(1)


def _serve_and_exit(address: str, life: int) -> None:
    """All that a forked server does; nothing of its parent's is tidied up in it."""
    try:
        os.setsid()
        serve(address, life)
    finally:
        os._exit(0)


def _end(pids: set[int]) -> None:
    """Nothing outlives the server."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _how_it_ended(pid: int, pids: set[int]) -> str:
    """In words; waits for an end that is near, since its socket is closed already."""
    if pid not in pids:
        return "its end is not known"
    pids.remove(pid)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        hint = ", which is what the system does when memory runs out" if -code == signal.SIGKILL else ""
        return f"killed by {signal.Signals(-code).name}{hint}"
    return f"it exited with code {code}"


def _run(
    connection: Connection, *, threads: int, line: Mapping[str, Any], log: str, environment: Mapping[str, str]
) -> None:
    """The forked process: serve one worker until it goes; never returns."""
    from trainables.trial_runs import TrialRun

    _print_to(log)
    os.environ.update(environment)
    os.nice(NICENESS)
    threading.Thread(target=_watch, args=(connection.fileno(),), daemon=True).start()
    with suppress(EOFError, OSError):
        connection.send(os.getpid())
        run = TrialRun(threads=threads, called_in=StartLine(**line).called_in)
        while True:
            name, arguments = connection.recv()
            try:
                answer = False, getattr(run, name)(*arguments)
            except Exception:
                answer = True, traceback.format_exc()
            connection.send(answer)
    os._exit(0)


def _print_to(log: str) -> None:
    """Standard output and error go to the file, from C as from Python; nothing is read from the terminal."""
    for file, flags, descriptors in (
        (os.devnull, os.O_RDONLY, (0,)),
        (log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, (1, 2)),
    ):
        opened = os.open(file, flags, 0o644)
        for descriptor in descriptors:
            os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def _watch(descriptor: int) -> None:
    """End with who asks, also in the middle of a step."""
    with socket.socket(fileno=os.dup(descriptor)) as watched:
        while watched.recv(1, socket.MSG_PEEK):
            time.sleep(_WATCH_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
