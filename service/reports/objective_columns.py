"""Columns of a leaderboard for several metrics: further values, broken limits, and the Pareto set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from search_spaces import format_metric
from service.ledgers import EpochRow, Json, Sweep, Trial
from service.objectives import Limits, Objective, pareto_set

__all__ = ["ObjectiveColumns"]

MARK = "*"
"""The mark of a trial in the Pareto set."""


@dataclass(frozen=True)
class ObjectiveColumns:
    """Values of a sweep's further metrics; ranked: trials that the Pareto set is chosen from; best: rows by trial."""

    sweep: Sweep
    ranked: Sequence[Trial]
    best: Mapping[str, EpochRow]

    @cached_property
    def limits(self) -> Limits:
        """The limits of the sweep, and the costs of its models."""
        return Limits.from_sweep(self.sweep)

    @property
    def further(self) -> tuple[Objective, ...]:
        """The metrics and costs beside the one that the sweep optimises."""
        return self.limits.objectives.entries[1:]

    @property
    def has_pareto_set(self) -> bool:
        """True if better values of several metrics are wanted."""
        return len(self.limits.objectives.wanted) > 1

    @cached_property
    def pareto(self) -> frozenset[str]:
        """Ids of the trials that no other beats in every wanted metric; empty if only one is wanted."""
        if not self.has_pareto_set:
            return frozenset()
        wanted = self.limits.objectives.wanted
        values = {trial.id: self.values(trial) for trial in self.ranked}
        rows = {trial_id: [row.get(entry.name, math.nan) for entry in wanted] for trial_id, row in values.items()}
        return frozenset(pareto_set(rows, wanted))

    def costs(self, trial: Trial) -> dict[str, float]:
        """Return the costs of the trial's model that were measured, by published names."""
        return self.limits.values(trial.recipe, None)

    def as_json(self, trial: Trial) -> Json:
        """Return the fields of `trials -o json` about limits and the Pareto set."""
        return {"breaks": trial.breaks, "pareto": trial.id in self.pareto if self.has_pareto_set else None}

    def header(self) -> list[str]:
        """Return the names of the columns beside the metric that the sweep optimises."""
        return [entry.name for entry in self.further] + ["pareto"] * self.has_pareto_set

    def cells(self, trial: Trial) -> list[str]:
        """Return the values for `header`, at the trial's best epoch."""
        values = self.values(trial)
        cells = [
            format_metric(entry.name, values[entry.name]) if entry.name in values else "" for entry in self.further
        ]
        return cells + [MARK if trial.id in self.pareto else ""] * self.has_pareto_set

    def notes(self) -> list[str]:
        """Return lines below the table: what the mark means, and how the latency was measured."""
        lines = []
        if self.has_pareto_set:
            names = " and ".join(entry.name for entry in self.limits.objectives.wanted)
            lines.append(f"{MARK} in the Pareto set: no other trial is better in one of {names} and no worse in any")
        costs = self.limits.costs
        shows_latency = any(entry.is_cost for entry in self.further) and costs is not None
        return lines + ([costs.describe_machine()] if shows_latency and costs and costs.describe_machine() else [])

    def values(self, trial: Trial) -> dict[str, float]:
        """Return the validation metrics of the trial's best epoch and the costs of its model, by published names."""
        return self.limits.values(trial.recipe, self.best.get(trial.id))
