"""The running service: the API in this process, and the drivers and MLflow's server as children of it."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from rich.console import Console

from service.api import ApiSettings
from service.api.mlflow_door import PREFIX, Upstream
from service.api.service_app import create_service_app
from service.child_processes import ChildProcess
from service.clocks import now_ms
from service.commands.services.options import ServeOptions, is_loopback
from service.commands.services.part_watch import PartWatch
from service.errors import UsageError
from service.file_locks import try_lock
from service.identities import ensure_admin
from service.kept_processes import KeptProcess
from service.ledgers import Ledger, ServiceProcess
from service.nodes import NodeHealth
from service.settings import Home
from service.terminals import home_option, stderr
from service.tracking import MlflowServer
from service.upkeep import describe_running_service
from trainables.checkpoint_stores import probe_store

__all__ = ["Serving"]

STREAM_SECONDS: Final = 3
"""Time that open answers, such as followed sweeps, have when the service ends."""

DRIVERS_SECONDS: Final = 75.0
"""Time that the drivers have to pause their sweeps when the service ends."""

NODE_SECONDS: Final = 60.0
"""Time that drivers wait for this machine's node: without one Ray would end their process."""

_COMMAND: Final = "from service.commands.app import script; script()"
_WATCH_SECONDS: Final = 0.5
_BACKLOG: Final = 2048


class Serving:
    """Serves one home until SIGTERM or Ctrl-C; a second one ends everything at once.

    The children end with this process, however it ends.
    """

    def __init__(self, home: Home, options: ServeOptions) -> None:
        self._home, self._options = home, options
        self._console, self._started_at = stderr(), now_ms()
        self._children: list[KeptProcess] = []
        self._ending = threading.Event()
        self._server: _Server | None = None
        self._mlflow: MlflowServer | None = None

    def run(self) -> int:
        """Serve; returns the exit code.

        Raises:
            UsageError: the home is served already, or the port is taken.
            LedgerError: the ledger cannot be opened.
            StoreError: the store of checkpoints cannot be written and read.
        """
        role = self._options.role
        with ExitStack() as stack:
            for lock in self._home.service_locks(has_api=role.has_api, has_drivers=role.has_drivers):
                if not stack.enter_context(try_lock(lock)):
                    raise UsageError(
                        f"{self._home.root} is served already {describe_running_service(self._home)}; "
                        "stop that service, or give another --home"
                    )
            if (store := self._home.store) is not None:
                probe_store(store)
            listening = stack.enter_context(_listen(self._options)) if role.has_api else None
            ledger = stack.enter_context(closing(Ledger.open(self._home, clock=now_ms)))
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: self._end())
            stack.callback(self._end_children)
            if role.has_drivers:
                _note_start_of_drivers(ledger)
            self._start_children()
            watch = self._part_watch(ledger)
            if listening is None:
                self._say("Meltpoint drives sweeps; Ctrl-C ends it")
                watch.start()
                self._ending.wait()
            else:
                url = self._options.url(listening.getsockname()[1])
                stack.enter_context(self._written_address(url))
                self._announce(url, ensure_admin(ledger, self._home, now_ms))
                watch.start()
                self._answer(listening)
                return 0 if self._ending.is_set() else 1  # uvicorn has said why it could not start
        return 0

    @property
    def _has_own_mlflow(self) -> bool:
        return self._options.role.has_api and not _is_address(self._home.tracking_uri)

    def _start_children(self) -> None:
        if self._options.role.has_drivers:
            node = KeptProcess("the node", self._start_node, self._complain) if self._options.join else None
            self._children.append(KeptProcess("the drivers' process", self._start_drivers, self._complain))
            self._children += [] if node is None else [node]
        if self._has_own_mlflow:
            self._children.append(KeptProcess("MLflow's server", self._start_mlflow, self._complain))

    def _start_node(self) -> ChildProcess:
        assert self._options.ray is not None
        command = [sys.executable, "-c", _COMMAND, "node", "--ray", self._options.ray, "--cpus", "0"]
        command += ["--home", str(self._home.root)]
        return ChildProcess(command, log=self._home.node_log)

    def _start_drivers(self) -> ChildProcess:
        deadline = time.monotonic() + NODE_SECONDS
        while self._options.join and time.monotonic() < deadline and NodeHealth.why_not_healthy(self._home):
            if self._ending.wait(_WATCH_SECONDS):
                break
        command = [sys.executable, "-m", "service.drivers", "--home", str(self._home.root)]
        if self._options.max_sweeps is not None:
            command += ["--max-sweeps", str(self._options.max_sweeps)]
        if self._options.ray is not None:
            command += ["--ray", self._options.ray]
        return ChildProcess(command, log=self._home.drivers_log, grace_seconds=DRIVERS_SECONDS)

    def _start_mlflow(self) -> MlflowServer:
        self._mlflow = MlflowServer(self._home, port=None, prefix=PREFIX)
        return self._mlflow

    def _upstream(self) -> Upstream | None:
        """Return MLflow's server: the one that was named, or this home's."""
        uri = self._home.tracking_uri
        if _is_address(uri):
            return Upstream(url=uri.rstrip("/"), authorization=_mlflow_authorization())
        if self._mlflow is None:
            return None
        path = self._mlflow.address.unix_socket
        return Upstream(url=f"http://localhost{PREFIX}", unix_socket=path, streams_unprefixed=True)

    def _answer(self, listening: socket.socket) -> None:
        """Answer requests until the service ends."""
        settings = ApiSettings(home=self._home, ending=self._ending)
        app = create_service_app(settings, upstream=self._upstream, hosts=_hosts(self._options))
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=self._options.behind_proxy,
            ssl_certfile=self._options.tls_cert,
            ssl_keyfile=self._options.tls_key,
            timeout_graceful_shutdown=STREAM_SECONDS,
            backlog=_BACKLOG,
        )
        logging.getLogger("uvicorn.error").addFilter(_is_no_late_answer)
        self._server = _Server(config, self._end)
        if not self._ending.is_set():
            self._server.run(sockets=[listening])

    def _end(self) -> None:
        """End in order; at once if called again."""
        if self._ending.is_set():
            self._say("ending at once")
            for child in self._children:
                child.kill()
            if self._server is not None:
                self._server.force_exit = True
            return
        self._ending.set()
        self._say("ending: sweeps under way are paused and go on at the next start; Ctrl-C again ends at once")
        if self._server is not None:
            self._server.should_exit = True
        for child in self._children[:1] if self._options.role.has_drivers else []:
            child.end()  # MLflow's server stays until the drivers have told it everything

    def _end_children(self) -> None:
        """End the children, the drivers first, and wait."""
        self._ending.set()
        for child in self._children:
            child.end()
            while not child.wait(_WATCH_SECONDS):
                pass

    def _announce(self, url: str, token: str | None) -> None:
        self._say(f"Meltpoint serves {self._home.root} at {url}", style="bold")
        if token is not None:
            self._say(f"admin token, shown only now and kept in {self._home.root / 'admin-token'}: {token}")
        home = home_option()
        self._say(f"sign in:  meltpoint login {url}")
        self._say(f"submit:   meltpoint submit SPEC --follow{home}")
        self._say(f"MLflow:   {url}{PREFIX}/")
        self._say("the rest of it is starting; Ctrl-C ends it")

    def _part_watch(self, ledger: Ledger) -> PartWatch:
        has_drivers, uri = self._options.role.has_drivers, self._home.tracking_uri
        return PartWatch(
            ledger,
            since=self._started_at if has_drivers else 0,
            ray=self._options.ray if has_drivers else None,
            own_mlflow=lambda: self._mlflow,
            mlflow_address=uri if _is_address(uri) else None,
            ending=self._ending,
            say=self._say_unless_ending,
        )

    @contextmanager
    def _written_address(self, url: str) -> Iterator[None]:
        """Write where the service is into the home, for commands on this machine, as long as it serves."""
        facts = {"url": url, "pid": os.getpid(), "started_at": now_ms()}
        descriptor, temporary = tempfile.mkstemp(dir=self._home.root, prefix=".service-")
        with os.fdopen(descriptor, "w") as file:
            json.dump(facts, file)
        Path(temporary).replace(self._home.service_file)
        try:
            yield
        finally:
            self._home.service_file.unlink(missing_ok=True)

    def _complain(self, sentence: str) -> None:
        self._say_unless_ending(sentence, "yellow")

    def _say_unless_ending(self, sentence: str, style: str) -> None:
        if not self._ending.is_set():
            self._say(sentence, style)

    def _say(self, sentence: str, style: str = "") -> None:
        _print(self._console, sentence, style)


class _Server(uvicorn.Server):
    """uvicorn's server, with our way of ending."""

    def __init__(self, config: uvicorn.Config, end: Callable[[], None]) -> None:
        super().__init__(config)
        self._end = end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """End in order; at once if called again."""
        self._end()


def _is_no_late_answer(record: logging.LogRecord) -> bool:
    """Return whether a log entry tells of something else than of an answer that the end of the service cut off."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError) and "graceful shutdown" not in record.getMessage()


@contextmanager
def _listen(options: ServeOptions) -> Iterator[socket.socket]:
    """Listen on the address. Raises UsageError if that is not possible."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((options.host, options.port))
            listening.listen(_BACKLOG)  # requests wait until the app is there
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(
                f"{options.host}:{options.port}: {reason}; choose another with --port, or 0 for any"
            ) from None
        yield listening
    finally:
        listening.close()


def _hosts(options: ServeOptions) -> list[str]:
    """Return the names by which browsers may call the service; `*` if only the operator knows them."""
    if options.behind_proxy or not is_loopback(options.host):
        return ["*"]
    return ["127.0.0.1", "localhost", "[::1]", options.host]


def _note_start_of_drivers(ledger: Ledger) -> None:
    """Let the ledger say that drivers start, until they say so themselves some seconds later."""
    ledger.services.beat(
        ServiceProcess(
            id=secrets.token_hex(8),
            role="drivers",
            host=socket.gethostname(),
            version=metadata.version("meltpoint"),
            started_at=now_ms(),
            seen_at=now_ms(),
            status={"state": "starting", "problem": None},
        )
    )


def _is_address(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _mlflow_authorization() -> str:
    """Return the header with which MLflow's own client would sign in to a server."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return f"Bearer {token}"
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    return ""


def _print(console: Console, sentence: str, style: str) -> None:
    console.print(sentence, style=style or None, markup=False, soft_wrap=True)
