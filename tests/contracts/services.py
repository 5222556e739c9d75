"""An API of a service in this process, on loopback, for tests of clients."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import uvicorn

from service.api import ApiSettings
from service.api.app import create_app
from service.clocks import now_ms
from service.errors import NotFoundError
from service.identities import issue_token
from service.ledgers import Ledger, Role, ServiceProcess, Sweep, SweepState
from service.settings import Context, Home


class ApiServer:
    """The API of a home's ledger on a port of loopback, started and stopped as often as a test likes."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._socket = _listen()
        self.port = int(self._socket.getsockname()[1])
        self._server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        """The address, the same after each start."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Answer requests from now on."""
        if self._server is not None:
            self._socket = _listen(self.port)
        app = create_app(ApiSettings(home=self._home, poll_seconds=0.02))
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2, ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End every stream, and refuse connections from now on."""
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(timeout=20)
        self._socket.close()


@contextmanager
def serve_api(home: Home) -> Iterator[Context]:
    """Serve the API of a home's ledger; yields the service with an admin's token."""
    server = ApiServer(home)
    server.start()
    try:
        yield signed_in(home, server, "admin", Role.ADMIN)
    finally:
        server.stop()


def signed_in(home: Home, server: ApiServer, user: str, role: Role) -> Context:
    """Return the service with a token of a user, who is made if need be."""
    with closing(Ledger.open(home, clock=now_ms)) as ledger:
        try:
            ledger.users.get(user)
        except NotFoundError:
            ledger.users.create(user, role)
        token = issue_token(ledger, user, label="test", days=1, clock=now_ms)
    return Context(name=user, url=server.url, token=token)


class Driver:
    """Takes submitted sweeps while entered, as the drivers of a service do: accepts them, or refuses them.

    run: drives an accepted sweep, from the state `queued`.
    """

    def __init__(
        self, home: Home, refusal: str | None = None, run: Callable[[Ledger, Sweep], None] | None = None
    ) -> None:
        self._home, self._refusal, self._run = home, refusal, run
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Driver:
        self._thread.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        with closing(Ledger.open(self._home, clock=now_ms)) as ledger:
            while not self._stop.wait(0.02):
                for sweep in ledger.sweeps.list(states=[SweepState.VALIDATING]):
                    if self._refusal is None:
                        queued = ledger.sweeps.move(sweep.id, SweepState.QUEUED)
                        if self._run is not None:
                            self._run(ledger, queued)
                    else:
                        ledger.sweeps.move(sweep.id, SweepState.FAILED, error=self._refusal)


def beat_drivers(ledger: Ledger, **more: Any) -> None:
    """Say in the ledger that a process drives its sweeps. more: of its status."""
    status = {"state": "ready", "cpus": 2, "gpus": 0, "slots": 2, "lanes_busy": 0, "problem": None} | more
    ledger.services.beat(
        ServiceProcess(id="d1", role="drivers", host="here", version="0.1.0", started_at=now_ms(), status=status)
    )


def _listen(port: int = 0) -> socket.socket:
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(64)
        stack.pop_all()
        return listening
