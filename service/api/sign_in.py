"""Sign-in of browsers: a token becomes a cookie, and a cookie names a user."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from service.api.pages import sign_in_page, wants_html
from service.api.sessions import COOKIE, SESSION_SECONDS, SessionKey
from service.errors import ForbiddenError, TooLargeError, UnauthenticatedError
from service.identities import Identity, authenticate, identify_token
from service.ledgers import Ledger

__all__ = ["SignIn", "is_same_origin"]

_FORM_BYTES: Final = 16 * 1024
_FORM_FIELDS: Final = 10
_HOME: Final = "/mlflow/"
_PAGES: Final = ("/mlflow/", "/docs", "/openapi.json")
_SCRIPT: Final = """\
// Carry the part behind # over the sign-in; servers never see it.
document.forms[0].action += location.hash;
"""


class SignIn:
    """The routes of the sign-in page, and the user of a browser's session.

    A session opens pages only: MLflow and the documentation. Programs send their token with each request, so that no
    script that gets into one of MLflow's pages can submit or cancel sweeps.

    Thread safety: the ledger is asked from worker threads.
    """

    OPEN_PATHS: Final = ("/sign-in", "/sign-in.js", "/session", "/sign-out")
    """Paths that need no token."""

    def __init__(self, get_ledger: Callable[[Request], Ledger], key: SessionKey, clock: Callable[[], int]) -> None:
        self._get_ledger, self._key, self._clock = get_ledger, key, clock

    async def find_session(self, request: Request) -> Identity | None:
        """Return the user of the cookie; None if there is none, or if the path is no page.

        Raises:
            UnauthenticatedError: the token of the session is not good any more, or a page of another site has sent the
                request.
        """
        if not request.scope["path"].startswith(_PAGES):
            return None
        token_id = self._key.read(request.cookies.get(COOKIE, ""), self._clock())
        if token_id is None:
            return None
        if request.method not in ("GET", "HEAD") and not is_same_origin(request):
            raise UnauthenticatedError("a page of another site sent this request")
        return await run_sync(identify_token, self._get_ledger(request), token_id, self._clock)

    def refuse(self, request: Request) -> Response | None:
        """Lead a browser that asks for a page to the sign-in page; None for programs."""
        path = request.scope["path"]
        if request.method != "GET" or not wants_html(request) or not path.startswith(_PAGES):
            return None
        return RedirectResponse(f"/sign-in?next={quote(path)}", status_code=303)

    def router(self) -> APIRouter:
        """Return the routes of the sign-in page."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/sign-in", self._show, methods=["GET"], response_class=Response)
        router.add_api_route("/sign-in.js", self._script, methods=["GET"], response_class=Response)
        router.add_api_route("/session", self._begin, methods=["POST"], response_class=Response)
        router.add_api_route("/session", self._end, methods=["DELETE"], response_class=Response)
        router.add_api_route("/sign-out", self._end, methods=["POST"], response_class=Response)
        return router

    async def _show(self, request: Request) -> Response:
        return sign_in_page(_place(request.query_params.get("next", "")))

    async def _script(self) -> Response:
        return Response(_SCRIPT, media_type="text/javascript", headers={"x-content-type-options": "nosniff"})

    async def _begin(self, request: Request) -> Response:
        """Take a token from the form (or from JSON), and answer with a cookie."""
        if not is_same_origin(request):
            raise ForbiddenError("a page of another site sent this form")
        fields = await _read_fields(request)
        place = _place(fields.get("next", ""))
        try:
            identity = await run_sync(
                authenticate, self._get_ledger(request), fields.get("token", "").strip(), self._clock
            )
        except UnauthenticatedError as error:
            return sign_in_page(place, problem=str(error), status=401)
        request.state.identity = identity  # for the audit log
        expires_at = await run_sync(self._expiry, self._get_ledger(request), identity.token_id)
        response = RedirectResponse(place, status_code=303)
        response.set_cookie(
            COOKIE,
            self._key.sign(identity.token_id, expires_at),
            max_age=max(0, expires_at - self._clock()) // 1000,
            path="/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        response.headers["cache-control"] = "no-store"
        return response

    def _expiry(self, ledger: Ledger, token_id: str) -> int:
        """Return when a session of the token ends: with the token, and after `SESSION_SECONDS` at the latest."""
        entry = ledger.tokens.get(token_id)
        latest = self._clock() + SESSION_SECONDS * 1000
        return latest if entry is None else min(latest, entry[0].expires_at)

    async def _end(self, request: Request) -> Response:
        """Make the browser forget its cookie. The token stays good; revoke it to end every session of it."""
        if not is_same_origin(request):
            raise ForbiddenError("a page of another site sent this request")
        token_id = self._key.read(request.cookies.get(COOKIE, ""), self._clock())
        if token_id is not None:
            with suppress(UnauthenticatedError):  # of a session that has ended already
                identity = await run_sync(identify_token, self._get_ledger(request), token_id, self._clock)
                request.state.identity = identity  # for the audit log
        response = RedirectResponse("/sign-in", status_code=303)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response


def is_same_origin(request: Request) -> bool:
    """Return whether a request comes from a page of this site, or from a program that is no browser.

    Browsers send `Origin` with every POST, PUT, PATCH and DELETE, and `Sec-Fetch-Site` with every request.
    """
    origin = request.headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc == request.headers.get("host", "") != ""
    return request.headers.get("sec-fetch-site", "none") in ("same-origin", "none")


async def _read_fields(request: Request) -> dict[str, str]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES:
            raise TooLargeError(f"the form is longer than {_FORM_BYTES} bytes")
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return {}
        fields = document if isinstance(document, dict) else {}
        return {name: value for name, value in fields.items() if isinstance(value, str)}
    try:
        parsed = parse_qs(body.decode(errors="replace"), max_num_fields=_FORM_FIELDS)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in parsed.items()}


def _place(text: str) -> str:
    """Return the page to go on to: one of this site, so that a link to the sign-in page cannot lead elsewhere."""
    safe = text.isprintable() and "\\" not in text and text.startswith(_PAGES)
    return text if safe else _HOME
