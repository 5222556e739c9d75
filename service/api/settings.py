"""Settings of the API."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version

from service.clocks import now_ms
from service.queues import Limits
from service.settings import MAX_BODY_BYTES, Home

__all__ = ["ApiSettings", "service_version"]


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """Settings of one API process.

    home: its ledger is served. limits: of the whole service. max_body_bytes: largest body of a request, but for
    artifacts. body_seconds: time in which a body must arrive. acceptance_seconds: time for which a submission waits
    for the look of a driver at its data. poll_seconds: time between two looks for new events. keepalive_seconds: time
    after which a silent stream of events sends a comment. ending: set once the process is to end, so that streams end
    by themselves. clock: UTC milliseconds since 1970.
    """

    home: Home
    limits: Limits = field(default_factory=Limits)
    max_body_bytes: int = MAX_BODY_BYTES
    body_seconds: float = 30.0
    acceptance_seconds: float = 30.0
    poll_seconds: float = 0.1
    keepalive_seconds: float = 15.0
    ending: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], int] = now_ms


@cache
def service_version() -> str:
    """Return the version of this service."""
    return version("meltpoint")
