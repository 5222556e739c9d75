"""The fork server: a process on each node that imports torch once and forks processes that have torch at once.

Python's own fork server (multiprocessing) serves only the process that started it, and Ray's workers are started by
Ray.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from search_spaces.errors import MeltpointError
from trainables.processes.messages import Answer, Call, EndQuestion, ForkedError, ForkRequest, Progress, Reply

__all__ = ["serve"]

_WATCH_SECONDS = 0.5


def serve(address: str, life: int, preload: str) -> None:
    """Fork a process for each request, until the pipe `life` ends; requests wait while `preload` is imported."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        import_module(preload)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from now on it has children to end
        children = _Children()
        while True:
            if life in wait([server, life]):
                children.kill()
                return
            taken, _ = server.accept()
            children.reap()
            with Connection(taken.detach()) as connection, suppress(EOFError, OSError):  # the client may have died
                request = connection.recv()
                if isinstance(request, EndQuestion):
                    connection.send(children.how_it_ended(request.key))
                    continue
                pid = os.fork()
                if pid == 0:
                    _run_and_exit(server, life, connection, request)
                children.alive[request.key] = pid


def _run_and_exit(server: socket.socket, life: int, connection: Connection, request: ForkRequest) -> None:
    """Do all that a forked process does; it never goes on as the server that it was."""
    try:
        server.close()
        os.close(life)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _run(connection, request)
    finally:
        os._exit(1)


class _Children:
    """The processes that the server has forked, by key: those that live, and how the others ended."""

    def __init__(self) -> None:
        self.alive: dict[str, int] = {}
        self._codes: dict[str, int] = {}

    def reap(self) -> None:
        """Take note of those that have ended."""
        for key in list(self.alive):
            self._reap(key, os.WNOHANG)

    def kill(self) -> None:
        """Kill all: nothing outlives the server."""
        for pid in self.alive.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def how_it_ended(self, key: str) -> str:
        """Return in words how a process ended; wait for an end that is near, since its socket is closed already."""
        if key in self.alive:
            self._reap(key, 0)
        code = self._codes.get(key)
        if code is None:
            return "its end is not known"
        if code < 0:
            hint = ", which is what the system does when memory runs out" if -code == signal.SIGKILL else ""
            return f"killed by {signal.Signals(-code).name}{hint}"
        return f"it exited with code {code}"

    def _reap(self, key: str, options: int) -> None:
        ended, status = os.waitpid(self.alive[key], options)
        if ended:
            del self.alive[key]
            self._codes[key] = os.waitstatus_to_exitcode(status)


def _run(connection: Connection, request: ForkRequest) -> None:
    """Serve the client of a forked process until it goes; never return."""
    _print_to(request.log)
    os.chdir(request.folder)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(f"sweep:{request.role}", encoding="ascii")
    os.environ.update(request.environment)
    os.nice(request.niceness)
    threading.Thread(target=_end_with_client, args=(connection.fileno(),), daemon=True).start()
    with suppress(EOFError, OSError):
        connection.send(os.getpid())
        factory, arguments = pickle.loads(request.factory)  # noqa: S301  # from the owner of the folder alone
        made = factory(**arguments)
        while True:
            call: Call = connection.recv()
            stub = {"progress": lambda *args: connection.send(Progress(args))} if call.with_progress else {}
            connection.send(_answer(getattr(made, call.method), call, stub))
    os._exit(0)


def _answer(method: Callable[..., Any], call: Call, stub: dict[str, Callable[..., None]]) -> Answer:
    """Return the method's result or error: an error of ours as it is, of another its type and message."""
    try:
        return Answer(Reply.RETURNED, method(*call.args, **call.kwargs, **stub))
    except MeltpointError as error:
        error.add_note(traceback.format_exc())
        return Answer(Reply.RAISED, error)
    except Exception as error:
        other = ForkedError(f"{type(error).__name__}: {error}")
        other.add_note(traceback.format_exc())
        return Answer(Reply.RAISED, other)


def _print_to(log: str) -> None:
    """Send standard output and error to the file, from C as from Python; read nothing from the terminal."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if log else os.dup(2)
    for descriptor in (1, 2):
        os.dup2(opened, descriptor)
    os.close(opened)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def _end_with_client(descriptor: int) -> None:
    """End with the client, also in the middle of a call, and if it left an answer unread (the connection is reset)."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as watched:
        while watched.recv(1, socket.MSG_PEEK):
            time.sleep(_WATCH_SECONDS)
    os._exit(1)
