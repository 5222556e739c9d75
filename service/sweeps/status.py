"""The status of a sweep: state, trials, best trial, address in MLflow, and checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from service.formats import counted
from service.ledgers import Json, Sweep, SweepState, TrialCounts, TrialPhase, Waiting
from service.reports import Leaderboard
from service.runs import measure_checkpoints
from service.settings import Home
from service.sweeps.listing import SweepSummary

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["ConfirmationStatus", "SweepStatus", "get_status"]


@dataclass(frozen=True, kw_only=True)
class ConfirmationStatus:
    """A confirmation as it stands.

    finished, planned: numbers of retrainings. outcome: of the decision, such as `winner`; None until it is made.
    sentence: the decision in a sentence.
    """

    finished: int
    planned: int
    outcome: str | None = None
    sentence: str | None = None

    @classmethod
    def read(cls, ledger: Ledger, sweep: Sweep) -> Self | None:
        """Read the confirmation of a sweep; None if none has begun."""
        if sweep.confirmation is None:
            return None
        from service.confirmations import Confirmation, RetrainingCounts, summarize_decision  # loads NumPy

        confirmation = Confirmation.from_json(sweep.confirmation)
        counts = RetrainingCounts.count(confirmation, ledger.trials.list(sweep.id, TrialPhase.CONFIRM))
        decision = confirmation.decision
        return cls(
            finished=counts.finished,
            planned=counts.planned,
            outcome=None if decision is None else decision.outcome.value,
            sentence=None if decision is None else summarize_decision(decision),
        )

    def as_json(self) -> Json:
        """Return the part `confirmation` of `status -o json`."""
        return {
            "retrainings": {"finished": self.finished, "planned": self.planned},
            "outcome": self.outcome,
            "decision": self.sentence,
        }

    def describe(self, state: SweepState) -> str:
        """Return how it stands, in a sentence; state: of the sweep."""
        if self.sentence is not None:
            return self.sentence
        retrainings = f"{self.finished} of {counted(self.planned, 'retraining')}"
        return f"confirming: {retrainings}" if state.is_under_way else f"not finished: {retrainings}"


@dataclass(frozen=True, kw_only=True)
class SweepStatus:
    """A sweep as it stands.

    unsent: number of messages that MLflow has not taken; waiting: the same by their reasons.
    checkpoint_files, checkpoint_bytes: on this machine's disk and in stores. checkpoint_stores: places of stores.
    unlisted: why a store could not be listed; empty if all are counted.
    confirmation: None if none has begun.
    """

    sweep: Sweep
    board: Leaderboard
    trial_counts: TrialCounts
    unsent: int
    checkpoint_files: int
    checkpoint_bytes: int
    checkpoint_stores: Sequence[str] = ()
    unlisted: str = ""
    confirmation: ConfirmationStatus | None = None
    waiting: Sequence[Waiting] = ()

    def as_json(self) -> Json:
        """Return the contract of `status -o json`."""
        return SweepSummary(sweep=self.sweep, trial_counts=self.trial_counts).as_json() | {
            "counts": self.board.counts(),
            "best": self.board.best_as_json(),
            "error": self.sweep.error,
            "mlflow": self.sweep.mlflow,
            "registered": self.sweep.registered,
            "unsent": self.unsent,
            "waiting": [waiting.as_json() for waiting in self.waiting],
            "checkpoints": self._checkpoints(),
            "data": self.sweep.data,
            "phase": self.sweep.phase.value,
            "confirmation": None if self.confirmation is None else self.confirmation.as_json(),
        }

    def _checkpoints(self) -> Json:
        facts: Json = {"files": self.checkpoint_files, "bytes": self.checkpoint_bytes}
        facts |= {"stores": list(self.checkpoint_stores)} if self.checkpoint_stores else {}
        return facts | ({"unlisted": self.unlisted} if self.unlisted else {})


def get_status(ledger: Ledger, home: Home, reference: str) -> SweepStatus:
    """Return the status of a sweep.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
    """
    sweep = ledger.sweeps.find(reference)
    files, size, unlisted = measure_checkpoints(home, sweep)
    return SweepStatus(
        sweep=sweep,
        board=Leaderboard.read(ledger, sweep, readings_of=1),
        trial_counts=ledger.sweeps.trial_counts([sweep.id])[sweep.id],
        unsent=ledger.outbox.count_unsent(sweep.id),
        checkpoint_files=files,
        checkpoint_bytes=size,
        checkpoint_stores=sweep.checkpoint_stores,
        unlisted=unlisted,
        confirmation=ConfirmationStatus.read(ledger, sweep),
        waiting=ledger.outbox.waiting(sweep.id),
    )
