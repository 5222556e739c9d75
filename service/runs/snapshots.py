"""Snapshots of a sweep while it trains: how far it is, what runs, how long it may still take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.ledgers import Trial, TrialPhase, TrialState

if TYPE_CHECKING:  # importing it loads Optuna, which a listener does not need
    from service.coordination import Coordinator

__all__ = ["Snapshot"]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The sweep at one moment.

    states: number of trials in each state. planned: trials in all. epochs: epochs trained so far. elapsed, wall: in
    seconds. closing: why no further trial starts, None while trials do. phase: of the trials; in a confirmation they
    are retrainings, those that were cancelled and are trained again are left out, and no best one is named.
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
    phase: TrialPhase = TrialPhase.SEARCH

    @classmethod
    def take(cls, coordinator: Coordinator) -> Snapshot:
        """Read a coordinator; may be called from any thread."""
        states, phase = dict(coordinator.progress.states), coordinator.phase
        left_out = states.pop(TrialState.CANCELLED, 0) if phase is TrialPhase.CONFIRM else 0
        return cls(
            states=states,
            planned=coordinator.planned - left_out,
            epochs=coordinator.progress.epochs,
            elapsed=coordinator.elapsed,
            best=None if phase is TrialPhase.CONFIRM else coordinator.progress.best,
            running=tuple(coordinator.running),
            epochs_each=coordinator.spec.budget.epochs,
            metric=coordinator.sweep.metric,
            closing=coordinator.closing,
            wall=coordinator.spec.budget.wall,
            phase=phase,
        )

    @property
    def noun(self) -> str:
        """The word for its trials."""
        return "retrainings" if self.phase is TrialPhase.CONFIRM else "trials"

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
