"""A server in place of MLflow's, and the service's app in front of it."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp

from service.api import ApiSettings
from service.api.mlflow_door import Upstream
from service.api.service_app import create_service_app
from service.clocks import now_ms
from service.identities import issue_token
from service.ledgers import Ledger, Role
from service.settings import Home

DAY_MS = 24 * 3600 * 1000
LARGE_BYTES = 64 * 65536


@dataclass
class Recorder:
    """A server behind the door that keeps what it receives."""

    headers: list[dict[str, str]] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    """Bytes received so far, in the order of their arrival."""
    may_end: threading.Event = field(default_factory=threading.Event)

    def app(self) -> FastAPI:
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.add_api_route("/{path:path}", self._answer, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
        return app

    async def _answer(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        async for chunk in request.stream():
            self.received.append(len(chunk))
        headers = {
            "set-cookie": "upstream=1",
            "x-secret": "1",
            "access-control-allow-origin": "*",
            "content-disposition": 'attachment; filename="a.html"',
            "cache-control": "max-age=60",
        }
        if request.url.path.endswith("large.bin") and request.method == "GET":
            return StreamingResponse(self._large(), headers=headers, media_type="application/octet-stream")
        content = {"path": request.scope["path"], "query": request.url.query, "method": request.method}
        return JSONResponse(content, headers=headers)

    async def _large(self) -> AsyncIterator[bytes]:
        for _ in range(LARGE_BYTES // 65536):
            yield b"x" * 65536
        while not self.may_end.is_set():
            await anyio.sleep(0.01)
        yield b"end"


@contextmanager
def running(app: ASGIApp, socket_path: Path | None = None) -> Iterator[str]:
    """Run an app in a thread, on a Unix socket or on a free port; give its address."""
    config = uvicorn.Config(app, uds=str(socket_path) if socket_path else None, port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}" if socket_path is None else ""
    finally:
        server.should_exit = True
        thread.join()


def service_app(home: Home, clock: Callable[[], int], upstream: Callable[[], Upstream | None]) -> ASGIApp:
    """The whole app, on the home's ledger."""
    return create_service_app(ApiSettings(home=home, clock=clock), upstream=upstream)


def add_user(ledger: Ledger, name: str, role: Role, clock: Callable[[], int], *, days: int = 90) -> str:
    """Create a user with a token; return the token's text."""
    ledger.users.create(name, role)
    return issue_token(ledger, name, label="test", days=days, clock=clock)


def token_of(home: Path, name: str, role: Role) -> str:
    """Create a user in the ledger of a home; return the text of a token."""
    with closing(Ledger.open(Home(home), clock=now_ms)) as ledger:
        return add_user(ledger, name, role, now_ms)
