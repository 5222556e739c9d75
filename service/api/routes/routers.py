"""All routers of the API."""

from __future__ import annotations

from service.api.routes import actions, events, files, health, models, queue, submissions, sweeps, tokens, users
from service.api.routes.health import OPEN_PATHS
from service.api.routes.strict_routes import PREFIX

__all__ = ["ALL_ROUTERS", "OPEN_PATHS", "PREFIX"]

ALL_ROUTERS = (
    sweeps.router,
    submissions.router,
    actions.router,
    events.router,
    files.router,
    models.router,
    queue.router,
    users.router,
    tokens.router,
    health.router,
)
