"""The names by which the service may be called: a page of another site cannot pass for this one by its DNS entry."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["HostCheck"]


class HostCheck:
    """Refuses requests whose header `Host` names another host.

    Args:
        app: the app behind.
        hosts: names without port, in lower case; `*` allows every name.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app, self._hosts = app, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and "*" not in self._hosts and _name(scope) not in self._hosts:
            response = PlainTextResponse("the header Host names another host\n", status_code=421)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _name(scope: Scope) -> str:
    """Return the host without its port; an IPv6 address keeps its brackets."""
    host = Headers(scope=scope).get("host", "").lower()
    name, separator, port = host.rpartition(":")
    return name if separator and port.isdecimal() else host
