"""When to stop a trial early: pure functions of the reports so far, in the order in which they were recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces import SweepSpec


@dataclass(frozen=True, kw_only=True)
class Report:
    """The metric of one trial after one epoch."""

    trial_id: str
    epoch: int
    value: float


class Scheduler(ABC):
    """Decides from reports alone; keeps no state, so that a restart decides the same."""

    @abstractmethod
    def milestones(self, epochs: int) -> tuple[int, ...]:
        """The epochs in 1..`epochs` at which a trial must report at once; the last one is always among them."""

    @abstractmethod
    def stops(self, earlier: Sequence[Report], report: Report) -> bool:
        """Whether the trial of `report` ends here, given every report recorded before it."""


class NoStopping(Scheduler):
    """Every trial runs to its last epoch."""

    def milestones(self, epochs: int) -> tuple[int, ...]:
        return (epochs,)

    def stops(self, earlier: Sequence[Report], report: Report) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class Asha(Scheduler):
    """Asynchronous successive halving, stopping variant (Li et al., MLSys 2020).

    Rungs lie at `grace_epochs` x `reduction_factor`^k. A trial that reaches a rung goes on if it is in the best
    1/`reduction_factor` of those that reached it so far, itself included; while fewer than `reduction_factor` have,
    it goes on. A value that is not a number ranks last.
    """

    grace_epochs: int
    reduction_factor: int
    maximize: bool

    def milestones(self, epochs: int) -> tuple[int, ...]:
        return (*self._rungs(epochs), epochs)

    def _rungs(self, epochs: int) -> list[int]:
        rungs, rung = [], self.grace_epochs
        while rung < epochs:
            rungs.append(rung)
            rung *= self.reduction_factor
        return rungs

    def stops(self, earlier: Sequence[Report], report: Report) -> bool:
        if report.epoch not in self._rungs(report.epoch + 1):
            return False
        reached = [r.value for r in earlier if r.epoch == report.epoch and r.trial_id != report.trial_id]
        if len(reached) + 1 < self.reduction_factor:
            return False
        scores = np.array([*reached, report.value]) * (1 if self.maximize else -1)
        scores[~np.isfinite(scores)] = -np.inf
        keep = max(1, len(scores) // self.reduction_factor)
        better = int((scores[:-1] > scores[-1]).sum())
        return better >= keep or bool(np.isneginf(scores[-1]))


def build_scheduler(spec: SweepSpec) -> Scheduler:
    """The early stopping that a sweep file asks for."""
    if spec.scheduler.type == "asha":
        return Asha(
            grace_epochs=spec.scheduler.grace_epochs,
            reduction_factor=spec.scheduler.reduction_factor,
            maximize=spec.metric.goal == "maximize",
        )
    return NoStopping()
