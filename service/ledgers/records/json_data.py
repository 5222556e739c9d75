"""The type of what JSON can hold, as the ledger stores it."""

from __future__ import annotations

from typing import Any

__all__ = ["Json"]

Json = dict[str, Any]
