"""Limits of the body of a request: its size and the time in which it must arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.middlewares.scopes import state_of
from service.api.problems import respond_to_error, respond_with_problem
from service.errors import TooLargeError

__all__ = ["BodyLimitMiddleware"]


class BodyLimitMiddleware:
    """Reads the body before the app does, up to a limit; a larger one gets the status 413.

    A body whose length is announced is refused before anything of it is read; one in chunks as soon as it passes the
    limit.

    Args:
        app: the app behind.
        max_bytes: largest body.
        seconds: time in which the body must arrive; then the status is 408.
        is_exempt: whether a path takes bodies of any size and reads them by itself.
    """

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, seconds: float, is_exempt: Callable[[str], bool] = lambda _path: False
    ) -> None:
        self._app, self._max_bytes, self._seconds, self._is_exempt = app, max_bytes, seconds, is_exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer too large a body, or give a smaller one to the app."""
        if scope["type"] != "http" or self._is_exempt(scope["path"]):
            await self._app(scope, receive, send)
            return
        path, request_id = str(scope["path"]), state_of(scope).get("request_id")
        try:
            body = await asyncio.wait_for(self._read(scope, receive), self._seconds)
        except TooLargeError as error:
            response = respond_to_error(error, path=path, request_id=request_id)
        except TimeoutError:
            text = f"the body must arrive within {self._seconds:.0f} s"
            response = respond_with_problem(408, "timeout", detail=text, path=path, request_id=request_id)
        else:
            if body is not None:
                await self._app(scope, _replay(body, receive), send)
            return
        response.headers["Connection"] = "close"
        await response(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the whole body; None if the client has gone."""
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced[:_MOST_DIGITS]) > self._max_bytes:
            raise self._too_large(f"{announced[:_MOST_DIGITS]} bytes")
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                raise self._too_large("more")
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self, size: str) -> TooLargeError:
        return TooLargeError(f"the body must be at most {self._max_bytes} bytes ({size})")


_MOST_DIGITS = 20


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a channel that gives the body first, and then what the client does, such as leaving."""
    is_given = False

    async def receive_again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
