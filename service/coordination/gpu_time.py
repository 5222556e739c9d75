"""GPU time of a sweep's running trials: counted while they train, and reserved before if somebody limits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["GpuBudget", "GpuTime"]


class GpuBudget(Protocol):
    """Reserves GPU time for the trials of one sweep; see `service.queues.GpuReservations`.

    A stretch of a trial begins at its start or a report, and ends at its next report or its end.
    """

    def reserve(self, trial_id: str) -> bool:
        """Reserve the next stretch of a trial; return whether it may train."""

    def settle(self, trial_id: str, seconds: float) -> bool:
        """Charge for the stretch of `seconds` that ends now, and reserve the next; return whether the trial goes on."""

    def release(self, trial_id: str, seconds: float) -> None:
        """Charge for the trial's last stretch of `seconds`, and give back what is reserved beyond that."""

    def describe(self) -> str:
        """Return how much is used, in a sentence that says what helps."""


@dataclass
class _Stretch:
    """since: time of the trial's start or last report. unsettled: seconds before that, not yet charged."""

    since: float
    unsettled: float = 0.0


class GpuTime:
    """Measures how long each running trial has had its GPU since its last report.

    `refusal` is the reason why the last trial that asked got no time; None if it got some, or if time was given back
    since then.

    Thread safety: one thread calls, or callers lock; `running_seconds` may be read by any thread.

    Args:
        clock: returns seconds.
        budget: limits the time; None if nobody does.
    """

    def __init__(self, clock: Callable[[], float], budget: GpuBudget | None = None) -> None:
        self._clock, self._budget = clock, budget
        self._stretches: dict[str, _Stretch] = {}
        self.refusal: str | None = None

    @property
    def running_seconds(self) -> float:
        """Seconds since the last report of each running trial, added up."""
        now = self._clock()
        return sum(now - stretch.since for stretch in tuple(self._stretches.values()))

    def start(self, trial_id: str) -> bool:
        """Begin the first stretch of an attempt; return whether the trial may start."""
        if self._budget is not None and not self._budget.reserve(trial_id):
            self.refusal = self._budget.describe()
            return False
        self.refusal = None
        self._stretches[trial_id] = _Stretch(self._clock())
        return True

    def note_report(self, trial_id: str) -> None:
        """Begin the next stretch; `settle` or `end` charges for the one before."""
        stretch, now = self._stretches[trial_id], self._clock()
        stretch.unsettled += now - stretch.since
        stretch.since = now

    def settle(self, trial_id: str) -> bool:
        """Charge up to the last report; return whether the trial may go on. If not, its time has ended."""
        if self._budget is None:
            return True
        stretch = self._stretches[trial_id]
        seconds, stretch.unsettled = stretch.unsettled, 0.0
        if self._budget.settle(trial_id, seconds):
            return True
        del self._stretches[trial_id]
        self.refusal = self._budget.describe()
        return False

    def end(self, trial_id: str) -> None:
        """Charge for what is left, and give back what was reserved, if the trial's time has not ended yet."""
        stretch = self._stretches.pop(trial_id, None)
        if stretch is not None and self._budget is not None:
            self.refusal = None
            self._budget.release(trial_id, stretch.unsettled + self._clock() - stretch.since)
