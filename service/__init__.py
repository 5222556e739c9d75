"""Schedules trials on Ray Tune, keeps the ledger, writes MLflow, and speaks with the user.

`from service import Client` gives the Python client; `import service` alone loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.clients.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    """Load the client when it is first used."""
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from service.clients.client import Client

    return Client
