"""Problems that a service answers with (RFC 9457), turned back into the errors that commands know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx2

from search_spaces import MISSING, MeltpointError, Problem, SpecError
from service.errors import (
    ConflictError,
    ForbiddenError,
    LedgerError,
    NotFoundError,
    QuotaError,
    ServiceError,
    SweepNotFoundError,
    TokenNotFoundError,
    TooLargeError,
    TrialNotFoundError,
    UnauthenticatedError,
    UnavailableError,
    UsageError,
    UserNotFoundError,
)
from service.settings import Context

__all__ = ["GATEWAY_STATUSES", "error_from"]

GATEWAY_STATUSES: Final = frozenset({502, 503, 504})
"""Statuses of a proxy whose service does not answer, and of a service that starts."""

_KINDS: Final[Mapping[str, type[MeltpointError]]] = {
    "conflict": ConflictError,
    "forbidden": ForbiddenError,
    "ledger": LedgerError,
    "not-found": NotFoundError,
    "refused": MeltpointError,
    "sweep-not-found": SweepNotFoundError,
    "token-not-found": TokenNotFoundError,
    "too-large": TooLargeError,
    "trial-not-found": TrialNotFoundError,
    "unavailable": UnavailableError,
    "usage": UsageError,
    "user-not-found": UserNotFoundError,
}
"""Classes of errors by the last part of a problem's type."""


def error_from(response: httpx2.Response, context: Context) -> MeltpointError:
    """Return the error that an answer stands for, with the message of the service."""
    problem = _problem_of(response)
    detail = str(problem.get("detail") or problem.get("title") or response.reason_phrase)
    status = response.status_code
    if status == 401:
        return UnauthenticatedError(f"{context.title} does not take the token: {detail}; {context.way_to_renew}")
    if status == 429:
        return QuotaError(detail, retry_after=_seconds(response.headers.get("Retry-After")))
    if problems := _broken_rules(problem):
        return SpecError(problems)
    kind = _KINDS.get(str(problem.get("type", "")).rpartition(":")[2])
    if status in GATEWAY_STATUSES and not problem:
        return UnavailableError(f"{context.title} answers {status}: {detail}")
    if kind is None:
        return ServiceError(f"{context.title} answers {status}: {detail}{_request_id(problem, response)}")
    return kind(detail)


def _problem_of(response: httpx2.Response) -> Mapping[str, Any]:
    """Return the problem of an answer; nothing if something else than the service has answered."""
    if "problem+json" not in response.headers.get("Content-Type", ""):
        return {}
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _broken_rules(problem: Mapping[str, Any]) -> list[Problem]:
    entries = problem.get("problems") or []
    return [
        Problem(
            path=entry.get("path") or "",
            rule=entry.get("rule") or "",
            value=MISSING if entry.get("value") is None else entry["value"],
            file=entry.get("file"),
            line=entry.get("line"),
            column=entry.get("column"),
        )
        for entry in entries
        if isinstance(entry, dict)
    ]


def _seconds(text: str | None) -> float:
    try:
        return float(text or 60.0)
    except ValueError:
        return 60.0


def _request_id(problem: Mapping[str, Any], response: httpx2.Response) -> str:
    request_id = problem.get("request_id") or response.headers.get("X-Request-Id")
    return f" (request {request_id})" if request_id else ""
