"""The calling end of the fork server: starts the server, and calls objects in processes that it forks."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar
from uuid import uuid4

from trainables.processes.messages import Answer, Call, EndQuestion, ForkedError, ForkRequest, Progress, Reply
from trainables.processes.objects import ObjectHandle, Pending
from trainables.processes.socket_folders import make_socket_folder

__all__ = ["ForkServer", "ForkedObject", "died"]

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")

_SOCKET = "socket"
_CONNECT_SECONDS = 5.0


def died(role: str) -> str:
    """Return the words that say that the process with this role has died."""
    return f"the {role}'s process died"


class ForkServer:
    """A server process, which ends with the process that started it, however that ends.

    It listens at `address` at once, and imports `preload` (the name of a module) meanwhile.

    Args:
        preload: name of the module.
        folder: an empty folder for the server's socket, which `close` removes; by default a new one is made.
        output: descriptor that gets what the server and its processes print; by default this process's own.
        environment: variables of the server; by default those of this process.
    """

    def __init__(
        self,
        *,
        preload: str,
        folder: str | None = None,
        output: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = make_socket_folder("meltpoint-fork-") if folder is None else folder
        self.address = self.address_in(self._folder)
        life, self._life = os.pipe()
        command = [sys.executable, "-m", str(__package__), self.address, str(life), preload]
        os.set_inheritable(life, True)
        self._process = subprocess.Popen(
            command, pass_fds=[life], start_new_session=True, stdout=output, stderr=output, env=environment
        )
        os.close(life)

    @staticmethod
    def address_in(folder: str) -> str:
        """Return the address of a server whose socket is in a folder."""
        return str(Path(folder) / _SOCKET)

    @property
    def pid(self) -> int:
        """The process's number; those that it has forked are its children."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code of the server, or None while it runs."""
        return self._process.poll()

    def close(self) -> None:
        """End the server and every process that it forked, without waiting for a preload that still runs."""
        os.close(self._life)
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class ForkedObject(ObjectHandle[T]):
    """Calls an object in a process of its own, forked from the server at `address`; it ends with this process.

    Args:
        address: of a fork server.
        factory: a function of a module, called in the new process with `arguments` (by keyword); returns the object.
        role: what the process is for, in a word: `ps` shows it, and an error when the process ends.
        environment: variables beside those of the server.
        folder: working folder; by default the server's.
        niceness: added to the server's.
        log: file to which what the process prints is added; by default all of it goes to the server's stderr.
        patience: seconds without a sign of life during a call, after which the process is killed; None waits for ever.

    Raises:
        OSError: no fork server listens at `address`.
    """

    def __init__(
        self,
        address: str,
        factory: Callable[..., T],
        arguments: Mapping[str, Any],
        *,
        role: str,
        environment: Mapping[str, str],
        folder: str = ".",
        niceness: int = 0,
        log: str = "",
        patience: float | None = None,
    ) -> None:
        self._address, self._role, self._patience = address, role, patience
        self._connection = _connect(address)
        self._key = uuid4().hex
        self._pid: int | None = None
        self._pid_lock = threading.Lock()
        request = ForkRequest(
            key=self._key,
            factory=pickle.dumps((factory, dict(arguments))),
            environment=dict(environment),
            role=role,
            folder=folder,
            niceness=niceness,
            log=log,
        )
        self._connection.send(request)

    @property
    def pid(self) -> int:
        """The process's number; waits for a server that still imports. Any thread may ask, also during a call."""
        with self._pid_lock:  # two readers of the one message would wait for each other's for ever
            if self._pid is None:
                self._pid = int(self._receive(None))
            return self._pid

    def call(self, method: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the method there, and `progress` here."""
        progress: Any = kwargs.pop("progress", None)
        self._send(method, args, kwargs, with_progress=progress is not None)
        result: R = self._answer(progress)
        return result

    def start(self, method: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> Pending[R]:
        """Start the call there."""
        self._send(method, args, kwargs, with_progress=False)
        return _Started(self)

    def close(self) -> None:
        """Let the process end: it does so by itself when nobody listens any more."""
        self._connection.close()

    def _send(
        self, method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], *, with_progress: bool
    ) -> None:
        try:
            self._connection.send(Call(method.__name__, args, dict(kwargs), with_progress))
        except OSError:
            raise self._ended() from None

    def _answer(self, progress: Callable[..., object] | None) -> Any:
        assert self.pid
        while True:
            message: Answer | Progress = self._receive(self._patience)
            if isinstance(message, Progress):
                assert progress is not None
                progress(*message.args)
            elif message.kind is Reply.RAISED:
                raise message.value
            else:
                return message.value

    def _receive(self, patience: float | None) -> Any:
        try:
            if patience is not None and not self._connection.poll(patience):
                raise self._killed_after(patience)
            return self._connection.recv()
        except (EOFError, OSError):
            raise self._ended() from None

    def _killed_after(self, seconds: float) -> ForkedError:
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        return ForkedError(f"the {self._role}'s process hung: no sign of life for {seconds:.0f} s")

    def _ended(self) -> ForkedError:
        """Ask the server, which is the parent of the process, how it ended; its number may still be unknown here."""
        with suppress(EOFError, OSError), _connect(self._address, patience=0) as question:
            question.send(EndQuestion(self._key))
            return ForkedError(f"{died(self._role)}: {question.recv()}")
        return ForkedError(f"{died(self._role)}, and so did its fork server")


class _Started(Generic[R]):
    def __init__(self, forked: ForkedObject[Any]) -> None:
        self._forked = forked

    def result(self) -> R:
        result: R = self._forked._answer(None)
        return result


def _connect(address: str, patience: float = _CONNECT_SECONDS) -> Connection:
    """Connect to the server. Raises OSError if nobody listens there in time."""
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
