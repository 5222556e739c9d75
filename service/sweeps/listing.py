"""The list of sweeps, each in one line."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.ledgers import Json, Sweep, SweepState, TrialCounts

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["SweepSummary", "list_sweeps"]


@dataclass(frozen=True, kw_only=True)
class SweepSummary:
    """A sweep and the number of its trials in each state."""

    sweep: Sweep
    trial_counts: TrialCounts

    def as_json(self) -> Json:
        """Return the contract of `ls -o json`: one sweep."""
        started = self.sweep.started_at
        return {
            "sweep_id": self.sweep.id,
            "name": self.sweep.name,
            "state": self.sweep.state.value,
            "trials": self.trial_counts.total,
            "metric": self.sweep.metric,
            "best_value": self.trial_counts.best_value(self.sweep.goal),
            "started": None if started is None else _as_iso(started),
            "seconds": self.sweep.seconds,
        }


def list_sweeps(
    ledger: Ledger,
    *,
    states: Collection[SweepState] | None = None,
    name: str | None = None,
    owner: str | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> list[SweepSummary]:
    """Return sweeps, newest first; the filters and the paging are those of the ledger's list."""
    sweeps = ledger.sweeps.list(states=states, name=name, owner=owner, limit=limit, after=after)
    counts = ledger.sweeps.trial_counts(sweep.id for sweep in sweeps)
    return [SweepSummary(sweep=sweep, trial_counts=counts[sweep.id]) for sweep in sweeps]


def _as_iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).isoformat(timespec="seconds")
