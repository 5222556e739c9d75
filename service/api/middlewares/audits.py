"""The audit log: an entry for each request that changes something or is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.middlewares.scopes import NO_ROUTE, find_address, find_route, state_of

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["AuditMiddleware"]

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_REFUSALS = 60
"""Most entries a minute for requests that nobody signed; more would let anybody fill the ledger."""


class AuditMiddleware:
    """Writes the entry before the answer begins: an action that a user knows of is in the log.

    Left out are requests that only read and are allowed; a route sets `request.state.only_reads` if its POST is one.
    Requests that nobody signed are written up to 60 a minute.
    """

    def __init__(
        self, app: ASGIApp, get_ledger: Callable[[], Ledger], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._get_ledger, self._clock = app, get_ledger, clock
        self._minute, self._refusals = 0.0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the entry of a request that needs one before its answer begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def log_and_send(message: Message) -> None:
            if message["type"] == "http.response.start" and self._is_logged(scope, message["status"]):
                await run_in_threadpool(self._write, scope, message["status"])
            await send(message)

        await self._app(scope, receive, log_and_send)

    def _is_logged(self, scope: Scope, status: int) -> bool:
        if state_of(scope).get("identity") is not None:
            only_reads = scope["method"] in _READING or state_of(scope).get("only_reads", False)
            return status == 403 or not only_reads
        return status in (401, 403) and self._may_log_a_refusal()

    def _may_log_a_refusal(self) -> bool:
        now = self._clock()
        if now - self._minute >= 60:
            self._minute, self._refusals = now, 0
        self._refusals += 1
        return self._refusals <= _MOST_REFUSALS

    def _write(self, scope: Scope, status: int) -> None:
        state = state_of(scope)
        identity, route = state.get("identity"), find_route(scope)
        detail: dict[str, Any] = {"request_id": state.get("request_id")} | state.get("detail", {})
        if route == NO_ROUTE:
            detail["path"] = str(scope["path"])[:_LONGEST_PATH].encode("utf-8", "replace").decode().replace("\x00", "")
        self._get_ledger().audit.add(
            user=None if identity is None else identity.user,
            token_id=None if identity is None else identity.token_id,
            address=find_address(scope),
            action=f"{scope['method']} {route}",
            target=state.get("target"),
            status=status,
            detail=detail,
        )


_LONGEST_PATH = 200
