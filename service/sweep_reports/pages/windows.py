"""Windows: the range of values that a chart shows, without far outliers that would press all others together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from search_spaces import Goal
from service.sweep_reports.charts import Linear

__all__ = ["Window", "find_window"]

_SHOWN_SHARE = 0.8
_STRETCH = 2.5
"""Times the range of the better values from which the range of all counts as stretched by outliers."""


class Window(NamedTuple):
    """A scale for values, and how many of them are worse than it shows."""

    scale: Linear
    hidden: int

    def clip(self, value: float) -> float:
        """Return the value, or the nearest one that is shown."""
        return min(max(value, self.scale.low), self.scale.high)

    def note(self, noun: str) -> str:
        """Return a sentence about the values that are not shown; empty if there are none."""
        if not self.hidden:
            return ""
        return f"{self.hidden} {noun}{'s' * (self.hidden > 1)} far worse than the others: drawn at the edge."


def find_window(values: Iterable[float], goal: Goal) -> Window:
    """Return a window on values: all of them, unless the worst fifth would take most of the range."""
    ordered = sorted((value for value in values if math.isfinite(value)), key=goal.sort_key)
    if not ordered:
        return Window(Linear(0.0, 1.0), 0)
    best, worst = ordered[0], ordered[-1]
    usual = ordered[math.ceil(_SHOWN_SHARE * (len(ordered) - 1))]
    if usual == best or abs(worst - best) <= _STRETCH * abs(usual - best):
        return Window(Linear.around(ordered), 0)
    last = best + 1.3 * (usual - best)
    hidden = sum(goal.is_better(last, value) for value in ordered)
    return Window(Linear.around([best, last]), hidden)
