"""Limits of a whole service; those of a user stand in `User`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a whole service.

    max_active_sweeps: most sweeps under way at once; each needs a driver process.
    max_waiting: most sweeps of one user that wait at once.
    """

    max_active_sweeps: int = 12
    max_waiting: int = 200

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} must be >= 1, not {value}")

    @classmethod
    def from_status(cls, status: Mapping[str, Any]) -> Limits:
        """Read the limits from the status that a service's drivers write; another version may know other names."""
        written = status.get("limits", {})
        return cls(**{name: written[name] for name in cls.__dataclass_fields__ if name in written})
