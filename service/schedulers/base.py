"""The contract of schedulers: pure functions of the reports so far, in the order in which they were recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from service.schedulers.curves import Report, Reports

__all__ = ["NoStopping", "Scheduler"]


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
