"""One process a node that loads torch once and forks from itself, ready at once, whatever needs torch.

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
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any
from uuid import uuid4

from search_spaces.errors import MeltpointError

__all__ = ["ForkServer", "Forked", "ForkedError", "died"]

Json = dict[str, Any]

_LOADED = "trainables.trials.runner"
_SOCKET = "socket"
_WATCH_SECONDS = 0.5
_CONNECT_SECONDS = 5.0


def died(role: str) -> str:
    """Say that the process with this role has died."""
    return f"the {role}'s process died"


class ForkedError(RuntimeError):
    """A forked process ended, or what it did raised something that is not ours."""


class ForkServer:
    """The server's process, which ends with the one that started it, however that ends.

    It listens at `address` at once, and loads `trainables.trials.runner` while the one that started it goes on.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="meltpoint-fork-")
        self.address = str(Path(self._folder) / _SOCKET)
        life, self._life = os.pipe()
        command = [sys.executable, "-m", "trainables.processes.fork_servers", self.address, str(life)]
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


class Forked:
    """An object in a process of its own, forked from the server at `address`; it ends with this one.

    Made, it raises OSError where no fork server listens there.

    make: `module:function`, which is called in that process with `arguments` and returns the object.
    environment: variables that it has beside those of the server; folder: that it works in, by default the server's;
    niceness: added to the server's.
    role: what the process is for, in a word: `ps` shows it, and an error when it ends.
    patience: seconds without a word from it, progress included, after which it is killed; None waits for ever.
    log: the file to which whatever it prints is added; where none is given, all of it goes to the server's stderr.
    """

    def __init__(
        self,
        address: str,
        make: str,
        arguments: Mapping[str, Any],
        *,
        environment: Mapping[str, str],
        role: str,
        folder: str = ".",
        niceness: int = 0,
        log: str = "",
        patience: float | None = None,
    ) -> None:
        self._address, self._role = address, role
        self._connection = _connect(address)
        self._key = uuid4().hex
        run: Json = {
            "make": make,
            "arguments": dict(arguments),
            "environment": dict(environment),
            "role": role,
            "folder": folder,
            "niceness": niceness,
            "log": log,
        }
        self._connection.send({"fork": self._key, "run": run})
        self._pid: int | None = None
        self._patience = patience

    @property
    def pid(self) -> int:
        """Waits for a server that still loads."""
        if self._pid is None:
            self._pid = int(self._received(None))
        return self._pid

    def ask(self, name: str, *arguments: object, progress: Callable[..., None] | None = None) -> Any:
        """What the object's method `name` returns.

        progress: called with what the method calls its argument of that name with.

        Raises MeltpointError as the method does, and ForkedError where it raises another or the process ends.
        """
        self._send(name, arguments, progress is not None)
        return self._answer(progress)

    def begin(self, name: str, *arguments: object) -> None:
        """As `ask`, but the answer is had from `end`, before anything else is asked."""
        self._send(name, arguments, False)

    def end(self) -> Any:
        """See `begin`."""
        return self._answer(None)

    def _send(self, *request: object) -> None:
        try:
            self._connection.send(request)
        except OSError:
            raise self._ended() from None

    def _answer(self, progress: Callable[..., None] | None) -> Any:
        assert self.pid
        while True:
            kind, *said = self._received(self._patience)
            if kind == "done":
                return said[0]
            if kind == "raised":
                raise said[0]
            assert progress is not None
            progress(*said)

    def close(self) -> None:
        """The process ends by itself when nobody listens any more."""
        self._connection.close()

    def _received(self, patience: float | None) -> Any:
        try:
            if patience is not None and not self._connection.poll(patience):
                raise self._given_up(patience)
            return self._connection.recv()
        except (EOFError, OSError):
            raise self._ended() from None

    def _given_up(self, seconds: float) -> ForkedError:
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        return ForkedError(f"the {self._role}'s process hung: no sign of life for {seconds:.0f} s")

    def _ended(self) -> ForkedError:
        """Ask the server, which is the parent, how the process ended; it may not have told its own number yet."""
        with suppress(EOFError, OSError), _connect(self._address, patience=0) as asked:
            asked.send({"ended": self._key})
            return ForkedError(f"{died(self._role)}: {asked.recv()}")
        return ForkedError(f"{died(self._role)}, and the one that had started it")


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
        forked = _Children()
        while True:
            if life in wait([server, life]):
                forked.kill()
                return
            taken, _ = server.accept()
            forked.reap()
            with Connection(taken.detach()) as connection, suppress(EOFError, OSError):  # whoever asked may have died
                request = connection.recv()
                if "ended" in request:
                    connection.send(forked.how_it_ended(request["ended"]))
                    continue
                pid = os.fork()
                if pid == 0:
                    _run_and_exit(server, life, connection, request["run"])
                forked.alive[request["fork"]] = pid


def _run_and_exit(server: socket.socket, life: int, connection: Connection, run: Json) -> None:
    """All that a forked process does: it never goes on as the server that it was."""
    try:
        server.close()
        os.close(life)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _run(connection, **run)
    finally:
        os._exit(1)


class _Children:
    """What the server has forked, by the key of whoever asked: the processes that live, and how the rest ended."""

    def __init__(self) -> None:
        self.alive: dict[str, int] = {}
        self._codes: dict[str, int] = {}

    def reap(self) -> None:
        """Let go of those that have ended."""
        for key in list(self.alive):
            self._reap(key, os.WNOHANG)

    def kill(self) -> None:
        """Nothing outlives the server."""
        for pid in self.alive.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def how_it_ended(self, key: str) -> str:
        """In words; waits for an end that is near, since its socket is closed already."""
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


def _run(
    connection: Connection,
    *,
    make: str,
    arguments: Mapping[str, Any],
    environment: Mapping[str, str],
    role: str,
    folder: str,
    niceness: int,
    log: str,
) -> None:
    """The forked process: serve whoever asked for it until that goes; never returns."""
    _print_to(log)
    os.chdir(folder)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(f"sweep:{role}", encoding="ascii")
    os.environ.update(environment)
    os.nice(niceness)
    threading.Thread(target=_watch, args=(connection.fileno(),), daemon=True).start()
    with suppress(EOFError, OSError):
        connection.send(os.getpid())
        module, _, name = make.partition(":")
        made = getattr(import_module(module), name)(**arguments)
        while True:
            name, given, hears = connection.recv()
            told = {"progress": lambda *said: connection.send(("said", *said))} if hears else {}
            connection.send(_answer(getattr(made, name), given, told))
    os._exit(0)


def _answer(method: Callable[..., Any], given: tuple[Any, ...], told: Mapping[str, Any]) -> tuple[str, Any]:
    """What the method returned, or raised: errors of ours as they are, of others what is known of them."""
    try:
        return "done", method(*given, **told)
    except MeltpointError as error:
        error.add_note(traceback.format_exc())
        return "raised", error
    except Exception as error:
        other = ForkedError(f"{type(error).__name__}: {error}")
        other.add_note(traceback.format_exc())
        return "raised", other


def _print_to(log: str) -> None:
    """Standard output and error go to the file, from C as from Python; nothing is read from the terminal."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if log else os.dup(2)
    for descriptor in (1, 2):
        os.dup2(opened, descriptor)
    os.close(opened)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def _watch(descriptor: int) -> None:
    """End with who asks, also in the middle of a step, and where it left an answer unread (the connection is reset)."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as watched:
        while watched.recv(1, socket.MSG_PEEK):
            time.sleep(_WATCH_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
    os._exit(0)  # who waits for it need not wait until torch is taken apart
