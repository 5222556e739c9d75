"""The status of a sweep: state, trials, best trial, address in MLflow, and checkpoints on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.ledgers import Json, Sweep, TrialCounts
from service.reports import Leaderboard
from service.runs import space_taken
from service.settings import Home
from service.sweeps.listing import SweepSummary

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["SweepStatus", "get_status"]


@dataclass(frozen=True, kw_only=True)
class SweepStatus:
    """A sweep as it stands.

    unsent: number of messages that MLflow has not taken. checkpoint_files, checkpoint_bytes: on this machine's disk.
    """

    sweep: Sweep
    board: Leaderboard
    trial_counts: TrialCounts
    unsent: int
    checkpoint_files: int
    checkpoint_bytes: int

    def as_json(self) -> Json:
        """Return the contract of `status -o json`."""
        return SweepSummary(sweep=self.sweep, trial_counts=self.trial_counts).as_json() | {
            "counts": self.board.counts(),
            "best": self.board.best_as_json(),
            "error": self.sweep.error,
            "mlflow": self.sweep.mlflow,
            "registered": self.sweep.registered,
            "unsent": self.unsent,
            "checkpoints": {"files": self.checkpoint_files, "bytes": self.checkpoint_bytes},
            "data": self.sweep.data,
        }


def get_status(ledger: Ledger, home: Home, reference: str) -> SweepStatus:
    """Return the status of a sweep.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
    """
    sweep = ledger.sweeps.find(reference)
    files, size = space_taken(home.sweep(sweep.id))
    return SweepStatus(
        sweep=sweep,
        board=Leaderboard.read(ledger, sweep),
        trial_counts=ledger.sweeps.trial_counts([sweep.id])[sweep.id],
        unsent=ledger.outbox.count_unsent(sweep.id),
        checkpoint_files=files,
        checkpoint_bytes=size,
    )
