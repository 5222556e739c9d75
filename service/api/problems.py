"""Every error as a problem (RFC 9457): errors of ours, wrong requests, unknown routes, and failures without a text."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from search_spaces import MISSING, MeltpointError, SpecError
from search_spaces import Problem as BrokenSpecRule
from search_spaces.documents import broken_rule, join_path
from service.api.json_bodies import JsonBodyError
from service.errors import (
    ConflictError,
    ForbiddenError,
    LedgerError,
    NotFoundError,
    QuotaError,
    StartingError,
    SweepNotFoundError,
    TokenNotFoundError,
    TooLargeError,
    TransitionError,
    TrialNotFoundError,
    UnauthenticatedError,
    UnavailableError,
    UsageError,
    UserNotFoundError,
)
from service.schemas import PATTERN_RULES, PROBLEM_MEDIA_TYPE, BrokenRule, Problem

__all__ = ["add_problem_handlers", "problem_responses", "respond_to_error", "respond_with_problem"]

TYPE_PREFIX: Final = "urn:meltpoint:problem:"
RETRY_SECONDS: Final = 5
_MOST_RULES: Final = 100


class _Kind(NamedTuple):
    """An error class's status, the last part of its type, and its title."""

    status: int
    name: str
    title: str


_KINDS: Final[Mapping[type[Exception], _Kind]] = {
    JsonBodyError: _Kind(422, "invalid-json", "The body is not JSON as this service reads it"),
    SpecError: _Kind(422, "invalid-sweep", "The sweep file has problems"),
    UnauthenticatedError: _Kind(401, "unauthenticated", "Not signed in"),
    ForbiddenError: _Kind(403, "forbidden", "Not allowed"),
    SweepNotFoundError: _Kind(404, "sweep-not-found", "No such sweep"),
    TrialNotFoundError: _Kind(404, "trial-not-found", "No such trial"),
    UserNotFoundError: _Kind(404, "user-not-found", "No such user"),
    TokenNotFoundError: _Kind(404, "token-not-found", "No such token"),
    NotFoundError: _Kind(404, "not-found", "No such thing"),
    ConflictError: _Kind(409, "conflict", "Contradicts an earlier request"),
    UsageError: _Kind(409, "usage", "Not possible in the present state"),
    TransitionError: _Kind(409, "usage", "Not possible in the present state"),
    TooLargeError: _Kind(413, "too-large", "Too large"),
    QuotaError: _Kind(429, "quota", "A limit of the user is reached"),
    UnavailableError: _Kind(503, "unavailable", "A part of the service does not run"),
    LedgerError: _Kind(503, "ledger", "The ledger cannot be used"),
    MeltpointError: _Kind(422, "refused", "Refused"),
}
"""Kinds of our errors; the first class that fits counts."""

_STATUS_NAMES: Final[Mapping[int, str]] = {
    400: "bad-request",
    404: "no-such-route",
    405: "method-not-allowed",
    408: "timeout",
    500: "internal",
}


def add_problem_handlers(app: FastAPI) -> None:
    """Make the app answer every error of ours, of FastAPI and of Starlette with a problem."""
    app.add_exception_handler(MeltpointError, _handle)
    app.add_exception_handler(RequestValidationError, _handle)
    app.add_exception_handler(HTTPException, _handle)
    app.add_exception_handler(SQLAlchemyError, _handle)


async def _handle(request: Request, error: Exception) -> Response:
    return respond_to_error(error, path=request.url.path, request_id=_id_of(request))


def respond_to_error(error: Exception, *, path: str, request_id: str | None) -> Response:
    """Return the answer to an error; an error that no handler expects gets the status 500 and no text of its own."""
    if isinstance(error, HTTPException):
        name = _STATUS_NAMES.get(error.status_code, "error")
        detail = f"no route {path}" if error.status_code == 404 else str(error.detail)
        return respond_with_problem(
            error.status_code, name, detail=detail, path=path, request_id=request_id, headers=error.headers
        )
    if isinstance(error, RequestValidationError):
        rules = [_rule_of(detail) for detail in error.errors()[:_MOST_RULES]]
        text = "\n".join(str(rule) for rule in rules)
        models = [BrokenRule.from_record(rule) for rule in rules]
        return respond_with_problem(
            422, "invalid-request", "The request has problems", text, path=path, request_id=request_id, problems=models
        )
    kind = next((kind for known, kind in _KINDS.items() if isinstance(error, known)), None)
    if kind is None and isinstance(error, SQLAlchemyError):
        text = "the ledger cannot be read or written now; try again"
        headers = {"Retry-After": str(RETRY_SECONDS)}
        return respond_with_problem(503, "ledger", detail=text, path=path, request_id=request_id, headers=headers)
    if kind is None:
        text = f"the service has failed; its log has the cause under the request's id, {request_id}"
        return respond_with_problem(500, "internal", detail=text, path=path, request_id=request_id)
    problems = [BrokenRule.from_record(problem) for problem in error.problems] if isinstance(error, SpecError) else []
    return respond_with_problem(
        kind.status,
        kind.name,
        kind.title,
        str(error),
        path=path,
        request_id=request_id,
        problems=problems,
        headers=_headers_of(error),
    )


def respond_with_problem(
    status: int,
    name: str,
    title: str | None = None,
    detail: str | None = None,
    *,
    path: str,
    request_id: str | None,
    problems: list[BrokenRule] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as an answer. name: the last part of its type."""
    problem = Problem(
        type=TYPE_PREFIX + name,
        title=title or HTTPStatus(status).phrase,
        status=status,
        detail=None if detail is None else _printable(detail),
        instance=_printable(path),
        problems=problems or [],
        request_id=request_id,
    )
    return Response(problem.model_dump_json(), status, headers=headers, media_type=PROBLEM_MEDIA_TYPE)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of errors for a route."""
    content = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def _headers_of(error: Exception) -> dict[str, str] | None:
    if isinstance(error, QuotaError):
        return {"Retry-After": str(max(1, round(error.retry_after)))}
    if isinstance(error, StartingError):
        return {"Retry-After": str(RETRY_SECONDS)}
    if isinstance(error, UnauthenticatedError):
        return {"WWW-Authenticate": "Bearer"}
    return None


def _rule_of(detail: Any) -> BrokenSpecRule:
    """Return the rule that a request breaks, in the words of the command line."""
    place = detail["loc"][1:] if detail["loc"][0] == "body" else detail["loc"]
    path = _printable(join_path(*place))
    if detail["type"] == "extra_forbidden":
        return BrokenSpecRule(path=path, rule="unknown key")
    value = MISSING if detail["type"] == "missing" or not place else detail["input"]
    return BrokenSpecRule(path=path, rule=_printable(broken_rule(detail, PATTERN_RULES)), value=value)


def _printable(text: str) -> str:
    """Replace halves of surrogate pairs, which no UTF-8 has."""
    return text.encode("utf-8", "replace").decode()


def _id_of(request: Request) -> str | None:
    return getattr(request.state, "request_id", None)
