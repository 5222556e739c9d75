"""Outcomes: how a sweep ended, as the driver returns it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.ledgers import REGISTRATION, Json, Sweep, SweepState, Waiting
from service.reports import Leaderboard
from service.warm_starts import read_outcome

__all__ = ["Outcome"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A sweep's last row in the ledger, its leaderboard, and how far MLflow is.

    unsent: number of messages that MLflow has not taken; waiting: the same by their reasons. tracking_error: the last
    error of MLflow, if any are unsent.
    notices: texts about MLflow that the sender wrote into the ledger, such as that its experiment was deleted.
    """

    sweep: Sweep
    board: Leaderboard
    unsent: int
    tracking_error: str | None
    notices: Sequence[str] = ()
    waiting: Sequence[Waiting] = ()

    @property
    def lacks_model(self) -> bool:
        """True if the sweep has a best trial and no model of it is registered, or not yet."""
        is_over = self.sweep.state in (SweepState.COMPLETED, SweepState.STOPPED)
        return is_over and self.board.best is not None and (self.sweep.registered is None or self._has_waiting_model)

    @property
    def _has_waiting_model(self) -> bool:
        return any(REGISTRATION in waiting.subjects for waiting in self.waiting)

    def as_json(self) -> Json:
        """Return the contract of `run -o json`."""
        warm_start = read_outcome(self.sweep, self.board.ranked)
        return {
            "sweep_id": self.sweep.id,
            "state": self.sweep.state.value,
            "counts": self.board.counts(),
            "best": self.board.best_as_json(),
            "seconds": self.sweep.seconds,
            "mlflow": self.sweep.mlflow or {"tracking_uri": None, "experiment_id": None, "run_id": None},
            "registered": self.sweep.registered,
            "error": self.sweep.error,
            "unsent": self.unsent,
            "waiting": [waiting.as_json() for waiting in self.waiting],
            "decision": (self.sweep.confirmation or {}).get("decision"),
            "warm_start": None if warm_start is None else warm_start.as_json(),
        }
