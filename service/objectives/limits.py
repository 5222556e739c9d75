"""The limits of a sweep, checked for its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from service.ledgers import EpochRow, Sweep
from service.objectives.model_costs import ModelCosts
from service.objectives.objectives import Objectives

__all__ = ["Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of metrics, which a trial's best epoch must keep, and of costs, which its model must keep."""

    objectives: Objectives
    costs: ModelCosts | None = None

    @classmethod
    def from_sweep(cls, sweep: Sweep) -> Limits:
        """Return the limits of a sweep, with the costs that were measured for it."""
        costs = None if sweep.model_costs is None else ModelCosts.from_json(sweep.model_costs)
        return cls(objectives=Objectives.from_sweep(sweep), costs=costs)

    def values(self, recipe: Mapping[str, Any], row: EpochRow | None) -> dict[str, float]:
        """Return the validation metrics of an epoch and the costs of the recipe's model, by published names."""
        metrics = {} if row is None else row.metrics("val")
        return metrics | (self.costs.costs_of(recipe) if self.costs else {})

    def broken_by(self, recipe: Mapping[str, Any], row: EpochRow) -> str | None:
        """Return which limits a trial would break if `row` were its best epoch, in words; None if it keeps all."""
        return self.objectives.broken_by(self.values(recipe, row)) if self.objectives.limits else None

    def broken_by_means(self, recipe: Mapping[str, Any], rows: Sequence[EpochRow]) -> str | None:
        """Return which limits a recipe breaks by the mean of each metric over the best epochs of its trainings."""
        if not self.objectives.limits or not rows:
            return None
        tables = [self.values(recipe, row) for row in rows]
        shared = set(tables[0]).intersection(*tables)
        return self.objectives.broken_by({name: fmean(table[name] for table in tables) for name in shared})
