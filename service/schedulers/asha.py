"""Asynchronous successive halving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces import Goal
from service.schedulers.base import Scheduler
from service.schedulers.brackets import Brackets
from service.schedulers.curves import Report, Reports

__all__ = ["Asha"]


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
        bracket, factor = self.brackets.bracket_of(report.number), self.brackets.reduction_factor
        if report.epoch not in self.brackets.rungs_of(bracket):
            return False
        reached = [other.value for other in earlier.others(report) if self.brackets.bracket_of(other.number) == bracket]
        if len(reached) + 1 < factor:
            return False
        scores = np.array([*reached, report.value]) * self.goal.sign
        scores[~np.isfinite(scores)] = -np.inf
        keep = max(1, len(scores) // factor)
        better = int((scores[:-1] > scores[-1]).sum())
        return better >= keep or bool(np.isneginf(scores[-1]))
