"""Health, readiness and version of a service."""

from __future__ import annotations

from typing import Literal

from service.schemas.base import Answer

__all__ = ["ActionResult", "Health", "Readiness", "Version"]


class Health(Answer):
    """The service answers."""

    status: Literal["ok"] = "ok"


class Readiness(Answer):
    """Readiness to start sweeps now."""

    ready: bool


class Version(Answer):
    """Version of the service."""

    version: str


class ActionResult(Answer):
    """The effect of a request that changes something."""

    id: str
    """Id of the thing that was changed, such as a sweep or a token."""
    result: str
    """The effect, such as `deleted` or `revoked`."""
