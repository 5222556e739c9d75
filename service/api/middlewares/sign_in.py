"""Sign-in: every path but a few is closed to whoever brings no valid token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.middlewares.scopes import state_of
from service.api.problems import respond_to_error
from service.clocks import now_ms
from service.errors import UnauthenticatedError
from service.identities import Identity, authenticate

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["SignInMiddleware"]

BEARER: Final = "bearer "

FindSession = Callable[[Request], Awaitable[Identity | None]]
"""Finds the user of a browser's session; None if the request belongs to no session."""

Refuse = Callable[[Request], Response | None]
"""Answers a request that nobody signed, such as with the way to a sign-in page; None for the usual problem."""


class SignInMiddleware:
    """Puts the identity of the caller into `request.state.identity`; without one the status is 401.

    Args:
        app: the app behind.
        get_ledger: returns the ledger with the tokens.
        open_paths: paths that need no token.
        find_session: finds a browser's session, for requests without an `Authorization` header.
        refuse: answers in place of the problem.
        clock: UTC milliseconds since 1970.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        get_ledger: Callable[[], Ledger],
        open_paths: Collection[str],
        find_session: FindSession | None = None,
        refuse: Refuse | None = None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._app, self._get_ledger, self._clock = app, get_ledger, clock
        self._open_paths, self._find_session, self._refuse = frozenset(open_paths), find_session, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a signed request through, and refuse any other."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = state_of(scope)
        state["identity"] = None
        if scope["path"] not in self._open_paths:
            request = Request(scope)
            try:
                state["identity"] = await self._identify(request)
            except (UnauthenticatedError, SQLAlchemyError) as error:
                response = self._refuse(request) if self._refuse and isinstance(error, UnauthenticatedError) else None
                response = response or respond_to_error(error, path=scope["path"], request_id=state.get("request_id"))
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _identify(self, request: Request) -> Identity:
        """Return the caller.

        Raises:
            UnauthenticatedError: the request has no valid token and belongs to no session.
        """
        header = Headers(scope=request.scope).get("authorization")
        if header is None:
            identity = await self._find_session(request) if self._find_session else None
            if identity is None:
                raise UnauthenticatedError("this needs a token: Authorization: Bearer TOKEN")
            return identity
        if not header.lower().startswith(BEARER):
            raise UnauthenticatedError("the Authorization header must be: Bearer TOKEN")
        return await run_in_threadpool(authenticate, self._get_ledger(), header[len(BEARER) :].strip(), self._clock)
