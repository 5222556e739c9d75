"""Answers without the path of the home: messages of the ledger may have it, and no path of the machine leaves it."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HomePathMiddleware"]

NAME: Final = b"$MELTPOINT_HOME"


class HomePathMiddleware:
    """Replaces the path of the home by its name in every answer below a prefix.

    Args:
        app: the app behind. Each piece of an answer that it streams has whole texts.
        prefix: paths whose answers are read.
        home: path of the home.
    """

    def __init__(self, app: ASGIApp, *, prefix: str, home: str) -> None:
        self._app, self._prefix, self._home = app, prefix, home.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer without the path."""
        if scope["type"] != "http" or not scope["path"].startswith(self._prefix) or len(self._home) < 2:
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def replace_and_send(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if message["type"] == "http.response.body":
                message["body"] = message.get("body", b"").replace(self._home, NAME)
            if start is not None:
                headers = MutableHeaders(scope=start)
                if "content-length" in headers and not message.get("more_body", False):
                    headers["Content-Length"] = str(len(message["body"]))
                await send(start)
                start = None
            await send(message)

        await self._app(scope, receive, replace_and_send)
