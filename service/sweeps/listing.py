"""The list of sweeps, each in one line."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.ledgers import Json, Sweep, SweepState, TrialCounts

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["CountCache", "SweepSummary", "list_sweeps"]


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


class CountCache:
    """Numbers of the trials of finished sweeps, which change only if a sweep is resumed.

    Thread safety: any thread may call.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._counts: dict[str, tuple[tuple[SweepState, int | None], TrialCounts]] = {}

    def count(self, ledger: Ledger, sweeps: Iterable[Sweep]) -> dict[str, TrialCounts]:
        """Return the numbers of each sweep's trials; the sweeps must have been read before."""
        counts: dict[str, TrialCounts] = {}
        others: dict[str, Sweep] = {}
        for sweep in sweeps:
            key, known = self._key(sweep), self._counts.get(sweep.id)
            if known is not None and known[0] == key:
                counts[sweep.id] = known[1]
            else:
                others[sweep.id] = sweep
        counts |= ledger.sweeps.trial_counts(others)
        for sweep in others.values():
            if sweep.state.is_finished:
                self._counts[sweep.id] = self._key(sweep), counts[sweep.id]
        while len(self._counts) > self._most:
            self._counts.pop(next(iter(self._counts)), None)
        return counts

    @staticmethod
    def _key(sweep: Sweep) -> tuple[SweepState, int | None]:
        return sweep.state, sweep.finished_at


def list_sweeps(
    ledger: Ledger,
    *,
    states: Collection[SweepState] | None = None,
    name: str | None = None,
    owner: str | None = None,
    limit: int | None = None,
    after: str | None = None,
    cache: CountCache | None = None,
) -> list[SweepSummary]:
    """Return sweeps, newest first; the filters and the paging are those of the ledger's list.

    The sweeps lack what no list shows: the file's text, data and settings. cache: of a process that lists sweeps often.
    """
    sweeps = ledger.sweeps.list(states=states, name=name, owner=owner, limit=limit, after=after, is_brief=True)
    counts = (cache or CountCache()).count(ledger, sweeps)
    return [SweepSummary(sweep=sweep, trial_counts=counts[sweep.id]) for sweep in sweeps]


def _as_iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).isoformat(timespec="seconds")
