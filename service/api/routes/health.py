"""The service itself: health, readiness, version, metrics."""

from __future__ import annotations

from typing import Final, cast

from fastapi import Request, Response

from service.api.middlewares import Counters
from service.api.routes.strict_routes import PREFIX, make_router
from service.api.settings import service_version
from service.api.state import Api, Observer
from service.errors import UnavailableError
from service.queues import find_problem
from service.schemas import Health, Readiness, Version

__all__ = ["OPEN_PATHS", "router"]

router = make_router("service")

OPEN_PATHS: Final = frozenset({f"{PREFIX}/health", f"{PREFIX}/ready", f"{PREFIX}/version"})
"""Paths that need no token."""

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/health", operation_id="get_health")
async def get_health() -> Health:
    """Say that the API answers."""
    return Health()


@router.get("/ready", operation_id="get_readiness")
def get_readiness(request: Request) -> Readiness:
    """Say that the service can start sweeps; else the status is 503. The reason is in `GET /queue` for users."""
    api = cast(Api, request.app.state.api)
    if find_problem(api.ledger.services.list(role="drivers")) is not None:
        raise UnavailableError("the service is not ready to start sweeps")
    return Readiness(ready=True)


@router.get("/version", operation_id="get_version")
async def get_version() -> Version:
    """Return the version of the service."""
    return Version(version=service_version())


@router.get(
    "/metrics",
    operation_id="get_metrics",
    response_class=Response,
    responses={200: {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def get_metrics(request: Request, caller: Observer) -> Response:
    """Return Prometheus's metrics; for admins and viewers."""
    counters = cast(Counters, request.app.state.counters)
    return Response(counters.render(caller.ledger, caller.hub), media_type=_METRICS_TYPE)
