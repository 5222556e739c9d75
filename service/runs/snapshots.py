"""Snapshots of a sweep while it trains: how far it is, what runs, how long it may still take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.ledgers import Trial, TrialState

if TYPE_CHECKING:  # importing it loads Optuna, which a listener does not need
    from service.coordination import Coordinator

__all__ = ["Snapshot"]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The sweep at one moment.

    states: number of trials in each state. planned: trials in all. epochs: epochs trained so far. elapsed, wall: in
    seconds. closing: why no further trial starts, None while trials do.
    """

    states: dict[TrialState, int]
    planned: int
    epochs: int
    elapsed: float
    best: Trial | None
    running: tuple[Trial, ...]
    epochs_each: int
    metric: str
    closing: str | None
    wall: float | None = None

    @classmethod
    def take(cls, coordinator: Coordinator) -> Snapshot:
        """Read a coordinator; may be called from any thread."""
        return cls(
            states=dict(coordinator.progress.states),
            planned=coordinator.planned,
            epochs=coordinator.progress.epochs,
            elapsed=coordinator.elapsed,
            best=coordinator.progress.best,
            running=tuple(coordinator.running),
            epochs_each=coordinator.spec.budget.epochs,
            metric=coordinator.sweep.metric,
            closing=coordinator.closing,
            wall=coordinator.spec.budget.wall,
        )

    @property
    def finished(self) -> int:
        """The number of trials that have ended."""
        return sum(count for state, count in self.states.items() if state.is_finished)

    @property
    def rate(self) -> float:
        """Epochs per second since the start."""
        return self.epochs / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the mean epochs of the finished trials and the wall budget; None until one has finished."""
        if not self.finished or not self.rate:
            return None
        underway = sum(trial.epochs for trial in self.running)
        each = (self.epochs - underway) / self.finished
        remaining = each * (self.planned - self.finished) - underway
        left = max(0.0, remaining / self.rate)
        return left if self.wall is None else min(left, max(0.0, self.wall - self.elapsed))
