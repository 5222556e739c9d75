"""Costs of the models of a sweep, as measured before its first trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from search_spaces.sweeps import LATENCY, PARAMETER_COUNT
from service.ledgers import Json

__all__ = ["ModelCost", "ModelCosts"]


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """The cost of a backbone with a pool.

    parameters: weights and biases without the head. features: length of the vector that the head receives.
    latency_ms: median time of one image; None if it was not measured. repeats: number of timed runs.
    """

    backbone: str
    pool: str
    parameters: int
    features: int
    latency_ms: float | None = None
    repeats: int = 0


@dataclass(frozen=True, kw_only=True)
class ModelCosts:
    """The costs of every model that trials of a sweep can have, and the machine that measured them.

    classes: number of outputs. processor: its name. threads: threads that computed. load: processes that wanted a core
    when the measurement began, for each core; above 1 the times may be too long.
    """

    classes: int
    processor: str
    threads: int
    load: float
    models: tuple[ModelCost, ...]

    def costs_of(self, recipe: Mapping[str, Any]) -> dict[str, float]:
        """Return the costs of a recipe's model by their published names; recipe: flat. Unknown costs are left out.

        A snapshot ensemble costs as much as all of its members, one for each cycle of the schedule.
        """
        pool = recipe.get("head.pool", "backbone")
        model = next((m for m in self.models if (m.backbone, m.pool) == (recipe["backbone"], pool)), None)
        if model is None:
            return {}
        members = recipe.get("schedule.cycles", 1) if recipe.get("averaging.name") == "snapshot" else 1
        head = _head_parameters(recipe, model.features, self.classes)
        costs = {PARAMETER_COUNT: float(members * (model.parameters + head))}
        if model.latency_ms is not None:
            costs[LATENCY] = members * model.latency_ms
        return costs

    def describe_machine(self) -> str:
        """Return on what the latency was measured, in words; empty if none was."""
        timed = [model for model in self.models if model.latency_ms is not None]
        if not timed:
            return ""
        busy = f"; the machine was busy ({self.load:.1f} processes a core), so it may be too long" * (self.load > 1)
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return (
            f"latency_ms: median of {min(model.repeats for model in timed)} or more runs of one image through the "
            f"exported model, {threads} of {self.processor}{busy}"
        )

    def as_json(self) -> Json:
        """Return the costs as plain data."""
        return asdict(self) | {"models": [asdict(model) for model in self.models]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelCosts:
        """Return the costs from what `as_json` gave."""
        return cls(**{**data, "models": tuple(ModelCost(**model) for model in data["models"])})


def _head_parameters(recipe: Mapping[str, Any], features: int, classes: int) -> int:
    """Return the number of weights and biases of the head, see `trainables.classifiers.heads.build_head`."""
    hidden, has_norm = recipe.get("head.hidden", 0), recipe.get("head.norm") == "batch"
    width = hidden or features
    linear = width * classes + classes
    return linear + (features * hidden + hidden if hidden else 0) + (2 * width if has_norm else 0)
