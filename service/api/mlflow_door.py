"""The door to MLflow: `/mlflow/` shows MLflow's own server to people who are signed in, and only its open routes.

A request goes on without the caller's credentials, and with few of its headers. Bodies of artifacts are streamed in
both directions. MLflow's pages may run no scripts but their own. A downloaded artifact is never a page of this site.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import httpx2
from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response, StreamingResponse

from service.api.mlflow_routes import Access, Body, Route, check_locations, find_route
from service.api.pages import problem_page
from service.errors import ForbiddenError, NotFoundError, TooLargeError
from service.identities import Identity
from service.ledgers import Role

__all__ = ["PREFIX", "MlflowDoor", "Upstream"]

PREFIX: Final = "/mlflow"
JSON_BYTES: Final = 4 * 1024 * 1024
"""Longest JSON body that is let through; MLflow's own limit for a batch of metrics is 1 MB."""

log = logging.getLogger(__name__)

_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_LONGEST_TARGET: Final = 200
_PATH_CHARACTERS: Final = "/:@!$&'()*+,;=~-._"

_REQUEST_HEADERS: Final = (
    "accept",
    "accept-encoding",
    "accept-language",
    "content-encoding",
    "content-length",
    "content-type",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "range",
    "user-agent",
)
_RESPONSE_HEADERS: Final = (
    "accept-ranges",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "etag",
    "last-modified",
    "vary",
)
_PAGE_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob: data:; "
    "worker-src 'self' blob:; frame-src 'self' blob: data:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self'"
)
_FILE_POLICY: Final = "sandbox; default-src 'none'; frame-ancestors 'self'"
_TIMEOUT: Final = httpx2.Timeout(60.0, connect=5.0)


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """MLflow's server behind the door.

    url: its address, with the prefix under which it serves, such as `http://localhost/mlflow`.
    unix_socket: the socket on which it listens; "" for TCP.
    authorization: value of the header `Authorization` that it asks of this service, or "".
    streams_unprefixed: whether it serves artifacts without the prefix too; it streams uploads only there.
    """

    url: str
    unix_socket: str = ""
    authorization: str = ""
    streams_unprefixed: bool = False


class MlflowDoor:
    """Passes requests to MLflow. `router` has the routes, and closes the connections when the app ends.

    Whoever is signed in stands in `request.state.identity` already. For the audit log, the door notes the path as
    `request.state.target`, and in `request.state.only_reads` that a POST merely searches.

    Args:
        upstream: returns the server, or None as long as it is not there.
    """

    def __init__(self, upstream: Callable[[], Upstream | None]) -> None:
        self._upstream = upstream
        self._transports: dict[Upstream, httpx2.AsyncHTTPTransport] = {}

    def router(self) -> APIRouter:
        """Return the routes of the door. They are MLflow's, not ours: OpenAPI does not list them."""
        router = APIRouter(include_in_schema=False, lifespan=self._run)
        router.add_api_route(PREFIX, self._add_slash, methods=["GET"], response_class=Response)
        router.add_api_route(f"{PREFIX}/{{path:path}}", self.handle, methods=_METHODS, response_class=Response)
        return router

    @asynccontextmanager
    async def _run(self, _app: object) -> AsyncIterator[None]:
        yield
        for transport in self._transports.values():
            await transport.aclose()
        self._transports.clear()

    async def _add_slash(self) -> Response:
        return RedirectResponse(f"{PREFIX}/", status_code=308)

    async def handle(self, request: Request) -> Response:
        """Pass a request on, and return MLflow's answer.

        Raises:
            NotFoundError: the route is closed.
            ForbiddenError: the route is open to admins only, or a location elsewhere is named.
            TooLargeError: the body is longer than `JSON_BYTES` on a route without files.
        """
        path = request.scope["path"].removeprefix(PREFIX)
        identity: Identity = request.state.identity
        request.state.target = _printable(f"{PREFIX}{path}"[:_LONGEST_TARGET])
        route = find_route(request.method, path)
        if route is None:
            raise NotFoundError(f"{request.method} {PREFIX}{path}: this route of MLflow is closed here")
        if route.access is Access.WRITE and not identity.role.includes(Role.ADMIN):
            raise ForbiddenError(
                f"{request.method} {PREFIX}{path}: only an admin may change what MLflow stores; "
                f"{identity.user} is signed in as {identity.role.value}. Ask an admin, or move aliases with: "
                "meltpoint promote SWEEP"
            )
        upstream = self._upstream()
        if upstream is None:
            return problem_page(request, 502, "MLflow is down", "MLflow's server is not up yet")
        request.state.only_reads = route.access is Access.READ
        return await self._pass_on(request, route, path, upstream)

    async def _pass_on(self, request: Request, route: Route, path: str, upstream: Upstream) -> Response:
        content = request.stream() if route.body is Body.FILE else await _read(request)
        if route.body is Body.LOCATION:
            assert isinstance(content, bytes)
            if refusal := check_locations(content):
                raise ForbiddenError(f"{request.method} {PREFIX}{path}: {refusal}")
        outgoing = httpx2.Request(
            request.method,
            _address(upstream, route, path, request.scope["query_string"].decode("latin-1")),
            headers=_kept(request.headers.items(), _REQUEST_HEADERS, has_length=route.body is Body.FILE),
            content=content if request.method not in ("GET", "HEAD") else None,
            extensions={"timeout": _TIMEOUT.as_dict()},
        )
        if upstream.authorization:
            outgoing.headers["authorization"] = upstream.authorization
        try:
            answer = await self._transport(upstream).handle_async_request(outgoing)
        except ClientDisconnect:
            return Response(status_code=400)
        except httpx2.TransportError as error:
            log.info("MLflow's server does not answer: %r", error)
            return problem_page(
                request,
                502,
                "MLflow is down",
                "MLflow's server does not answer; it may still be starting",
            )
        headers = _kept(answer.headers.items(), _RESPONSE_HEADERS, has_length=True) | _safety(route)
        return StreamingResponse(_stream(answer), status_code=answer.status_code, headers=headers)

    def _transport(self, upstream: Upstream) -> httpx2.AsyncHTTPTransport:
        # A client would also keep cookies, and follow redirects; nothing of one request may reach the next.
        transport = self._transports.get(upstream)
        if transport is None:
            transport = httpx2.AsyncHTTPTransport(uds=upstream.unix_socket or None, trust_env=False)
            self._transports[upstream] = transport
        return transport


def _address(upstream: Upstream, route: Route, path: str, query: str) -> httpx2.URL:
    url = httpx2.URL(upstream.url)
    prefix = url.raw_path.decode().rstrip("/")
    if route.unprefixed and upstream.streams_unprefixed:
        prefix = ""
    target = f"{prefix}{quote(path, safe=_PATH_CHARACTERS)}"
    return url.copy_with(raw_path=f"{target}?{query}".encode() if query else target.encode())


async def _read(request: Request) -> bytes:
    """Return the body. Raises TooLargeError before more than `JSON_BYTES` are kept."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > JSON_BYTES:
            raise TooLargeError(f"the body is longer than {JSON_BYTES} bytes")
    return bytes(body)


def _printable(text: str) -> str:
    """Return a text that any database takes."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _kept(headers: Iterable[tuple[str, str]], names: tuple[str, ...], *, has_length: bool) -> dict[str, str]:
    return {name: value for name, value in headers if name in names and (has_length or name != "content-length")}


def _safety(route: Route) -> dict[str, str]:
    """Return the headers that keep browsers from running what an artifact or MLflow's page might bring along."""
    return {
        "content-security-policy": _FILE_POLICY if route.body is Body.FILE else _PAGE_POLICY,
        "x-content-type-options": "nosniff",
        "x-frame-options": "SAMEORIGIN",
        "referrer-policy": "same-origin",
    }


async def _stream(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()
