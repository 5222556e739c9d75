"""Facts about a request that middlewares read from its ASGI scope."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.types import Scope

__all__ = ["find_address", "find_route", "state_of"]

NO_ROUTE = "(no route)"


def state_of(scope: Scope) -> MutableMapping[str, Any]:
    """Return the dict behind `request.state`."""
    state: MutableMapping[str, Any] = scope.setdefault("state", {})
    return state


def find_route(scope: Scope) -> str:
    """Return the template of the route that took the request, such as `/api/v1/sweeps/{ref}`."""
    path = getattr(scope.get("route"), "path", None)
    return str(path) if path else NO_ROUTE


def find_address(scope: Scope) -> str:
    """Return the address from which the request came."""
    client = scope.get("client")
    return str(client[0]) if client else ""
