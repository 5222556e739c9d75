"""The outermost middleware: gives each request an id, names versions, and answers failures without their text."""

from __future__ import annotations

import logging
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.middlewares.scopes import state_of
from service.api.problems import respond_to_error, respond_with_problem
from service.api.settings import service_version

__all__ = ["RequestIdMiddleware"]

log = logging.getLogger(__name__)

CLIENT_HEADER = "Meltpoint-Client"
NOTICE_HEADER = "Meltpoint-Notice"
_LONGEST_VERSION = 32


class RequestIdMiddleware:
    """Adds `X-Request-Id` and `Meltpoint-Version` to every answer.

    A client of another minor version is told so by `Meltpoint-Notice`, one of another major version gets the status
    400. An error that nothing else has handled gets the status 500; the log has its text.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the request an id, and its answer the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        state_of(scope)["request_id"] = request_id
        client = Headers(scope=scope).get(CLIENT_HEADER)
        notice = None if client is None else _compare_versions(client)
        has_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["Meltpoint-Version"] = service_version()
                headers["X-Content-Type-Options"] = "nosniff"
                if notice is not None:
                    headers[NOTICE_HEADER] = notice
            await send(message)

        path = str(scope["path"])
        if notice is not None and _major(client or "") != _major(service_version()):
            response = respond_with_problem(400, "version", detail=notice, path=path, request_id=request_id)
            await response(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            log.exception("request %s: %s %s", request_id, scope["method"], path)
            if has_started:
                raise
            response = respond_to_error(error, path=path, request_id=request_id)
            await response(scope, receive, send_with_headers)


def _compare_versions(client: str) -> str | None:
    """Return a sentence for a client whose major or minor version differs; None for any other."""
    ours = service_version()
    if client.split(".")[:2] == ours.split(".")[:2]:
        return None
    shown = "".join(sign for sign in client[:_LONGEST_VERSION] if sign.isalnum() or sign in ".-+")
    return f"this client has version {shown}, the service {ours}"


def _major(version: str) -> str:
    return version.partition(".")[0]
