"""Early stopping: pure functions of the reports so far, in the order in which they were recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from search_spaces import Goal, SweepSpec, rungs_below
from service.schedulers.brackets import Brackets
from service.schedulers.curves import Report, Reports


@dataclass(frozen=True, kw_only=True)
class Scheduler(ABC):
    """Decides from reports alone; keeps no state, so that a restart decides the same.

    `epochs` is what a trial trains that is not stopped.
    """

    epochs: int

    @property
    @abstractmethod
    def milestones(self) -> Sequence[int]:
        """The epochs whose values decisions need, and the last: a trial must report at once after each."""

    @abstractmethod
    def stops(self, earlier: Reports, report: Report) -> bool:
        """Return whether the trial of `report` ends here; earlier: all reports of milestones recorded before."""


class NoStopping(Scheduler):
    """No early stopping: every trial runs to its last epoch."""

    @property
    def milestones(self) -> Sequence[int]:
        """The last epoch."""
        return (self.epochs,)

    def stops(self, _earlier: Reports, _report: Report) -> bool:
        """Return False."""
        return False


@dataclass(frozen=True, kw_only=True)
class Asha(Scheduler):
    """Asynchronous successive halving, stopping variant (Li et al., MLSys 2020), in one bracket or several.

    A trial that reaches a rung of its bracket goes on if it is in the best 1/`reduction_factor` of the bracket's
    trials that reached it so far, itself included; while fewer than `reduction_factor` have, it goes on. A value that
    is not a number ranks last.
    """

    brackets: Brackets
    goal: Goal

    @property
    def milestones(self) -> Sequence[int]:
        """The rungs of all brackets, and the last epoch."""
        return (*self.brackets.rungs, self.epochs)

    def stops(self, earlier: Reports, report: Report) -> bool:
        """Return whether the trial is not among the best of its rung."""
        bracket, factor = self.brackets.of(report.number), self.brackets.reduction_factor
        if report.epoch not in self.brackets.rungs_of(bracket):
            return False
        reached = [other.value for other in earlier.others(report) if self.brackets.of(other.number) == bracket]
        if len(reached) + 1 < factor:
            return False
        scores = np.array([*reached, report.value]) * self.goal.sign
        scores[~np.isfinite(scores)] = -np.inf
        keep = max(1, len(scores) // factor)
        better = int((scores[:-1] > scores[-1]).sum())
        return better >= keep or bool(np.isneginf(scores[-1]))


@dataclass(frozen=True, kw_only=True)
class MedianStopping(Scheduler):
    """The median stopping rule (Golovin et al., KDD 2017, section 3.2.1).

    From epoch `grace_epochs` on, a trial ends after epoch s if its best value so far is strictly worse than the median
    of the other trials' averages over their epochs 1 to s. Where the paper takes the trials that are completed, all
    count that have reached epoch s, as in Ray Tune; while these are fewer than `min_trials`, none ends. Values that
    are not numbers are left out, and a trial without any other ends.
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


def build_scheduler(spec: SweepSpec) -> Scheduler:
    """The early stopping that a sweep file asks for."""
    settings, epochs, goal = spec.scheduler, spec.budget.epochs, spec.metric.goal
    if settings.type == "asha":
        factor = settings.reduction_factor
        rungs = rungs_below(epochs, grace_epochs=settings.grace_epochs, reduction_factor=factor)
        brackets = Brackets(count=settings.brackets, rungs=rungs, reduction_factor=factor, seed=spec.seed)
        return Asha(epochs=epochs, brackets=brackets, goal=goal)
    if settings.type == "median":
        return MedianStopping(
            epochs=epochs, grace_epochs=settings.grace_epochs, min_trials=settings.min_trials, goal=goal
        )
    return NoStopping(epochs=epochs)
