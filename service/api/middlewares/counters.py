"""Prometheus counters of requests, and gauges of sweeps and followers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.middlewares.scopes import find_route

if TYPE_CHECKING:
    from service.api.followers import Hub
    from service.ledgers import Ledger

__all__ = ["CountMiddleware", "Counters"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_ROLES = ("api", "drivers")


class Counters:
    """The metrics of one API process. Thread safety: any thread may call."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "meltpoint_http_requests", "Requests answered", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "meltpoint_http_request_seconds",
            "Time until an answer began",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._sweeps = Gauge("meltpoint_sweeps", "Sweeps in the ledger", ("state",), registry=self._registry)
        self._processes = Gauge(
            "meltpoint_processes", "Processes of the service that live", ("role",), registry=self._registry
        )
        self._followers = Gauge(
            "meltpoint_followers", "Streams of events that are open at this process", registry=self._registry
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer. seconds: until it began."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def render(self, ledger: Ledger, hub: Hub) -> bytes:
        """Return all metrics in Prometheus's text format."""
        for state, count in ledger.sweeps.count_by_state().items():
            self._sweeps.labels(state.value).set(count)
        for role in _ROLES:
            self._processes.labels(role).set(len(ledger.services.list(role=role)))
        self._followers.set(hub.followers)
        return generate_latest(self._registry)


class CountMiddleware:
    """Counts answers by method, route and status."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self._app, self._counters = app, counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def count_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._counters.count(method, find_route(scope), message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, count_and_send)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
