"""The median stopping rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from search_spaces import Goal
from service.schedulers.base import Scheduler
from service.schedulers.curves import Report, Reports

__all__ = ["MedianStopping"]


@dataclass(frozen=True, kw_only=True)
class MedianStopping(Scheduler):
    """The median stopping rule (Golovin et al., KDD 2017, section 3.2.1).

    From epoch `grace_epochs` on, a trial ends after epoch s if its best value so far is strictly worse than the median
    of the other trials' averages over their epochs 1 to s. The paper compares with completed trials;
    here, as in Ray Tune, all trials count that have reached epoch s. While these are fewer than `min_trials`, no
    trial ends. Values that are not numbers are left out, and a trial with no other values ends.
    """

    grace_epochs: int
    min_trials: int
    goal: Goal

    @property
    def milestones(self) -> Sequence[int]:
        """Every epoch."""
        return range(1, self.epochs + 1)

    def stops(self, earlier: Reports, report: Report) -> bool:
        """Return whether the best value so far is worse than the median of the averages."""
        if report.epoch < self.grace_epochs:
            return False
        averages = [other.mean for other in earlier.others(report) if other.count]
        if len(averages) < self.min_trials:
            return False
        curve = earlier.curve(report)
        best = curve.highest if self.goal is Goal.MAXIMIZE else curve.lowest
        return self.goal.is_better(median(averages), best)
