"""The metrics and costs that a sweep names: which are wanted, and which values are allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces import COSTS, Goal, MetricSpec, format_metric
from service.ledgers import Json, Sweep

__all__ = ["Objective", "Objectives"]

_LONGEST = 1000
"""Most characters that the ledger's index takes of limits that are broken."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A metric or cost. limit: the worst value that is allowed, None for no limit. is_wanted: better is wanted."""

    name: str
    goal: Goal
    limit: float | None = None
    is_wanted: bool = True

    @property
    def is_cost(self) -> bool:
        """True for a cost of the model, which needs no training."""
        return self.name in COSTS

    def is_kept_by(self, value: float | None) -> bool:
        """Return whether `value` is within the limit; an unknown value, or one that is not a number, is not."""
        if self.limit is None:
            return True
        return value is not None and (value == self.limit or self.goal.is_better(value, self.limit))

    def describe_limit(self) -> str:
        """Return the limit as a condition, such as `latency_ms <= 20`."""
        assert self.limit is not None, self
        sign = ">=" if self.goal is Goal.MAXIMIZE else "<="
        return f"{self.name} {sign} {_short(self.name, self.limit)}"

    def describe_break(self, value: float | None) -> str:
        """Return how a value breaks the limit, such as `latency_ms 31.2 > 20`."""
        assert self.limit is not None, self
        sign = "<" if self.goal is Goal.MAXIMIZE else ">"
        shown = "unknown" if value is None or not math.isfinite(value) else format_metric(self.name, value)
        return f"{self.name} {shown} {sign} {_short(self.name, self.limit)}"

    def as_json(self) -> Json:
        """Return the objective as plain data."""
        return {"name": self.name, "goal": self.goal.value, "limit": self.limit, "wanted": self.is_wanted}


@dataclass(frozen=True)
class Objectives:
    """All metrics and costs of a sweep; the first is the one that search, early stopping and best epoch go by."""

    entries: tuple[Objective, ...]

    @classmethod
    def from_specs(cls, metrics: tuple[MetricSpec, ...]) -> Objectives:
        """Return the objectives of a sweep file."""
        return cls(
            tuple(
                Objective(name=metric.name, goal=metric.goal, limit=metric.limit, is_wanted=metric.is_objective)
                for metric in metrics
            )
        )

    @classmethod
    def from_sweep(cls, sweep: Sweep) -> Objectives:
        """Return the objectives that the sweep's settings keep."""
        settings = sweep.settings
        limit = settings.get("metric.min" if sweep.goal is Goal.MAXIMIZE else "metric.max")
        first = Objective(name=sweep.metric, goal=sweep.goal, limit=limit)
        return cls((first, *(_objective(entry) for entry in settings.get("metric.further", ()))))

    @property
    def first(self) -> Objective:
        """The metric that the sweep optimises."""
        return self.entries[0]

    @property
    def wanted(self) -> tuple[Objective, ...]:
        """Metrics and costs of which better values are wanted."""
        return tuple(entry for entry in self.entries if entry.is_wanted)

    @property
    def limits(self) -> tuple[Objective, ...]:
        """Metrics and costs that have a limit."""
        return tuple(entry for entry in self.entries if entry.limit is not None)

    @property
    def costs(self) -> tuple[str, ...]:
        """Names of the costs of models among the objectives."""
        return tuple(entry.name for entry in self.entries if entry.is_cost)

    def broken_by(self, values: Mapping[str, float]) -> str | None:
        """Return which limits are broken by a trial's values, in words; None if all are kept."""
        broken = [
            entry.describe_break(values.get(entry.name))
            for entry in self.limits
            if not entry.is_kept_by(values.get(entry.name))
        ]
        return "; ".join(broken)[:_LONGEST] or None


def _objective(entry: Mapping[str, Any]) -> Objective:
    return Objective(name=entry["name"], goal=Goal(entry["goal"]), limit=entry.get("limit"), is_wanted=entry["wanted"])


def _short(name: str, limit: float) -> str:
    return format_metric(name, limit) if name in COSTS else f"{limit:g}"
