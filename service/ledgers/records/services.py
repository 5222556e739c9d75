"""Processes of the service, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.ledgers.records.json_data import Json

__all__ = ["ServiceProcess"]


@dataclass(frozen=True, kw_only=True)
class ServiceProcess:
    """A process of the service. Times are UTC milliseconds since 1970; `beat` sets `seen_at`.

    id: random, of this process. role: `api` or `drivers`. status: how it is, such as `{"state": "ready", ...}`.
    """

    id: str
    role: str
    host: str
    version: str
    started_at: int
    status: Json = field(default_factory=dict)
    seen_at: int = 0
