"""Models that break a limit whatever their recipe, found before the first trial."""

from __future__ import annotations

from search_spaces import MeltpointError, format_metric
from search_spaces.sweeps import LATENCY
from service.objectives.model_costs import ModelCost, ModelCosts
from service.objectives.objectives import Objective, Objectives

__all__ = ["check_limits"]


def check_limits(objectives: Objectives, costs: ModelCosts) -> list[str]:
    """Return a line for each model that breaks a limit, whatever its head.

    Raises:
        MeltpointError: every model does.
    """
    lines = []
    for model in costs.models:
        broken = [entry for entry in objectives.limits if entry.is_cost and not entry.is_kept_by(_least(entry, model))]
        for entry in broken[:1]:
            pool = "" if model.pool == "backbone" else f" with head.pool {model.pool}"
            value = format_metric(entry.name, _least(entry, model))
            lines.append(f"{model.backbone}{pool} has {entry.name} {value} and breaks {entry.describe_limit()}")
    if len(lines) == len(costs.models):
        raise MeltpointError(
            f"metric: no model of the space keeps the limits: {'; '.join(lines[:3])}{', ...' * (len(lines) > 3)}; "
            "raise the limit, or add a smaller backbone to the space: meltpoint backbones"
        )
    return [f"{line}: its trials can never be the best; take it out of the space" for line in lines]


def _least(entry: Objective, model: ModelCost) -> float:
    """Return the least cost of a model: its head adds to the parameters, and members of an ensemble to both."""
    return (model.latency_ms or 0.0) if entry.name == LATENCY else float(model.parameters)
