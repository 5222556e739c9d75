"""The app: routes behind middlewares, on the ledger of one home."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

from service.api.followers import Hub
from service.api.middlewares import (
    AuditMiddleware,
    BodyLimitMiddleware,
    Counters,
    CountMiddleware,
    HomePathMiddleware,
    RequestIdMiddleware,
    SignInMiddleware,
)
from service.api.middlewares.sign_in import FindSession, Refuse
from service.api.problems import add_problem_handlers
from service.api.routes import ALL_ROUTERS, OPEN_PATHS, PREFIX
from service.api.settings import ApiSettings, service_version
from service.api.state import Api
from service.ledgers import Ledger, ServiceProcess
from service.schemas import Problem

__all__ = ["create_app"]

log = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 5.0
_ABOUT: Final = """\
Submit sweeps, follow them, and read their results.

Every request but those for health, readiness and version needs a token: `Authorization: Bearer TOKEN`.
Every error is a problem (RFC 9457) with a complete message in `detail`. Times are UTC milliseconds since 1970.
"""


def create_app(
    settings: ApiSettings,
    *,
    open_paths: Collection[str] = (),
    find_session: FindSession | None = None,
    refuse: Refuse | None = None,
    is_body_unlimited: Callable[[str], bool] = lambda _path: False,
) -> FastAPI:
    """Return the app; it opens the ledger when it starts, and closes it when it ends.

    Args:
        settings: of this process.
        open_paths: further paths that need no token.
        find_session: finds the user of a browser's session.
        refuse: answers a request that nobody signed, in place of the problem.
        is_body_unlimited: whether a path takes bodies of any size, and reads them piece by piece.
    """
    counters = Counters()
    app: FastAPI = FastAPI(
        title="Meltpoint",
        version=service_version(),
        description=_ABOUT,
        lifespan=lambda app: _run(app, settings),
        openapi_url="/openapi.json",
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(RequestIdMiddleware),
            Middleware(HomePathMiddleware, prefix=PREFIX, home=str(settings.home.root)),
            Middleware(CountMiddleware, counters),
            Middleware(AuditMiddleware, lambda: app.state.api.ledger),
            Middleware(
                SignInMiddleware,
                get_ledger=lambda: app.state.api.ledger,
                open_paths={*OPEN_PATHS, *open_paths},
                find_session=find_session,
                refuse=refuse,
                clock=settings.clock,
            ),
            Middleware(
                BodyLimitMiddleware,
                max_bytes=settings.max_body_bytes,
                seconds=settings.body_seconds,
                is_exempt=is_body_unlimited,
            ),
        ],
    )
    app.state.counters = counters
    add_problem_handlers(app)
    for router in ALL_ROUTERS:
        app.include_router(router)
    app.openapi = lambda: _describe(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _run(app: FastAPI, settings: ApiSettings) -> AsyncIterator[None]:
    ledger = await run_in_threadpool(Ledger.open, settings.home, clock=settings.clock)
    process = ServiceProcess(
        id=secrets.token_hex(16),
        role="api",
        host=socket.gethostname(),
        version=service_version(),
        started_at=settings.clock(),
        status={"state": "ready"},
    )
    hub = Hub(ledger, poll_seconds=settings.poll_seconds, clock=settings.clock, ending=settings.ending)
    app.state.api = Api(settings=settings, ledger=ledger, hub=hub)
    try:
        async with _beating(ledger, process):
            yield
    finally:
        await hub.close()
        await run_in_threadpool(ledger.close)


@asynccontextmanager
async def _beating(ledger: Ledger, process: ServiceProcess) -> AsyncIterator[None]:
    """Say in the ledger every few seconds that this process lives, while entered."""

    async def beat() -> None:
        while True:
            try:
                await run_in_threadpool(ledger.services.beat, process)
            except Exception:
                log.exception("the ledger cannot be written")
            await asyncio.sleep(_BEAT_SECONDS)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        with suppress(SQLAlchemyError):
            await run_in_threadpool(ledger.services.leave, process.id)


def _describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with problems and with tokens for all but the open paths."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        components = document.setdefault("components", {})
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        definitions = schema.pop("$defs", {})
        components.setdefault("schemas", {}).update(definitions | {"Problem": schema})
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        for path in OPEN_PATHS:
            for operation in document["paths"][path].values():
                operation["security"] = []
        app.openapi_schema = document
    return app.openapi_schema
