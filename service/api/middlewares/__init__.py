"""Middlewares of the API: request ids, counters, audit log, sign-in, the limit of bodies, and paths."""

from service.api.middlewares.audits import AuditMiddleware
from service.api.middlewares.body_limits import BodyLimitMiddleware
from service.api.middlewares.counters import Counters, CountMiddleware
from service.api.middlewares.home_paths import HomePathMiddleware
from service.api.middlewares.request_ids import RequestIdMiddleware
from service.api.middlewares.sign_in import SignInMiddleware

__all__ = [
    "AuditMiddleware",
    "BodyLimitMiddleware",
    "CountMiddleware",
    "Counters",
    "HomePathMiddleware",
    "RequestIdMiddleware",
    "SignInMiddleware",
]
