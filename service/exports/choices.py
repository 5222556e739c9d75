"""The choice of a sweep's recipe, before it is written down with data, weights and versions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.exports.recipe_files import ChosenBy, ExpectedScore, TrainingPolicy
from service.ledgers import Json, Sweep

__all__ = ["RecipeChoice", "training_policy"]


@dataclass(frozen=True, kw_only=True)
class RecipeChoice:
    """A recipe, flat as in the ledger, with how it was chosen, how it is trained, and what to expect of it."""

    recipe: Json
    chosen: ChosenBy
    training: TrainingPolicy
    score: ExpectedScore
    evidence: Json = field(default_factory=dict)


def training_policy(
    sweep: Sweep, *, seeds: Sequence[int], best_epochs: Sequence[int], trained_epochs: int
) -> TrainingPolicy:
    """Return the policy of the sweep's trainings; trained_epochs: for sweeps whose settings lack the epochs."""
    return TrainingPolicy(
        epochs=int(sweep.settings.get("budget.epochs", trained_epochs)),
        metric=sweep.metric,
        goal=sweep.goal.value,
        seeds=list(seeds),
        best_epochs=list(best_epochs),
        threads=max(1, int(sweep.settings.get("resources.cpu", 1))),
        full_data_epochs=statistics.median_high(best_epochs),
    )
