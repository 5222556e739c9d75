"""Limits of a service and of its users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Account", "Limits"]


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


class Account(Protocol):
    """The part of a user that the queue reads; None means unlimited.

    weight: share of the workers, relative to other users. max_sweeps: most sweeps under way at once. max_slots: most
    workers at once. max_trials: most trials of one sweep.
    """

    @property
    def name(self) -> str:
        """Name of the user."""

    @property
    def disabled_at(self) -> int | None:
        """Time at which an admin disabled the user, in UTC milliseconds since 1970."""

    @property
    def weight(self) -> float:
        """Share of the workers, relative to other users."""

    @property
    def max_sweeps(self) -> int | None:
        """Most sweeps under way at once."""

    @property
    def max_slots(self) -> int | None:
        """Most workers at once."""

    @property
    def max_trials(self) -> int | None:
        """Most trials of one sweep."""

    @property
    def gpu_hours(self) -> float | None:
        """GPU hours that all sweeps of the user may use together."""

    @property
    def gpu_seconds_used(self) -> float:
        """GPU seconds used so far."""

    @property
    def gpu_seconds_reserved(self) -> float:
        """GPU seconds reserved for trials that run now."""
