"""Reports of the trials of a sweep so far, and the curve of each trial, for early stopping."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["Curve", "Report", "Reports"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The metric of one trial, known by its number in the sweep, after one epoch."""

    number: int
    epoch: int
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """The values of one trial up to an epoch: the latest, and a summary of the finite ones (`count`)."""

    number: int
    value: float = math.nan
    count: int = 0
    total: float = 0.0
    lowest: float = math.inf
    highest: float = -math.inf

    @property
    def mean(self) -> float:
        """The running average; nan if no value is finite."""
        return self.total / self.count if self.count else math.nan

    def extended(self, value: float) -> Curve:
        """Return the curve with the value of one more epoch."""
        if not math.isfinite(value):
            return replace(self, value=value)
        return Curve(
            number=self.number,
            value=value,
            count=self.count + 1,
            total=self.total + value,
            lowest=min(self.lowest, value),
            highest=max(self.highest, value),
        )


class Reports:
    """Reports in the order of recording. If a trial reports an epoch again, its last report counts."""

    def __init__(self, reports: Iterable[Report] = ()) -> None:
        self._curves: dict[int, dict[int, Curve]] = {}
        for report in reports:
            self.add(report)

    def add(self, report: Report) -> None:
        """Add a report."""
        self._curves.setdefault(report.epoch, {})[report.number] = self.curve(report)

    def curve(self, report: Report) -> Curve:
        """Return the curve of the report's trial, including the report, also if it was not added."""
        before = self._curves.get(report.epoch - 1, {}).get(report.number, Curve(number=report.number))
        return before.extended(report.value)

    def others(self, report: Report) -> list[Curve]:
        """Return the curves, up to the report's epoch, of all other trials that have reported it, in order."""
        reached = self._curves.get(report.epoch, {})
        return [curve for number, curve in reached.items() if number != report.number]
