"""The inputs of the decision: per-image scores of a search and of the retrained recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FloatArray", "RetrainedRecipe", "SearchEvidence", "check_evidence"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchEvidence:
    """The R finished trials of a search with a finite score, best first; equal scores by trial number.

    Recipes that are equal stand once, at their best rank.

    Attributes:
        identities: identity of each recipe.
        scores: score of each val image, (R, val images); a higher score is better, such as 1 for a right answer.
        naive: the metric's value of each trial, as the leaderboard shows it.

    Raises:
        ValueError: lengths differ, a recipe occurs twice, or a score is not finite.
    """

    identities: Sequence[str]
    scores: FloatArray
    naive: Sequence[float]

    def __post_init__(self) -> None:
        _check_scores("scores", self.scores)
        if not len(self.identities) == len(self.scores) == len(self.naive):
            lengths = f"{len(self.identities)}, {len(self.scores)}, {len(self.naive)}"
            raise ValueError(f"identities, scores and naive must have equal lengths ({lengths})")
        if len(set(self.identities)) != len(self.identities):
            raise ValueError("equal recipes must be merged: identities must differ")


@dataclass(frozen=True, kw_only=True, eq=False)
class RetrainedRecipe:
    """A recipe that was trained anew with S seeds, in an order that is the same for all recipes.

    Attributes:
        identity: the recipe's.
        trial_number: number of its trial in the search.
        rank: place in the search, from 1; None for a default that did not finish.
        cost: cost of a training, comparable between recipes, such as multiply-adds.
        val: score of each val image, (S, val images).
        confirm: score of each confirmation image, (S, confirmation images).
        breaks: limits of the sweep's metrics that its means over the seeds break, in words; None if it keeps all.

    Raises:
        ValueError: the numbers of seeds differ, or a score is not finite.
    """

    identity: str
    trial_number: int
    rank: int | None
    cost: float
    val: FloatArray
    confirm: FloatArray
    breaks: str | None = None

    def __post_init__(self) -> None:
        _check_scores("val", self.val)
        _check_scores("confirm", self.confirm)
        if len(self.val) != len(self.confirm):
            raise ValueError(f"val and confirm must have the same seeds ({len(self.val)}, {len(self.confirm)})")

    @property
    def seeds(self) -> int:
        """The number of retrainings."""
        return len(self.val)

    @property
    def pooled(self) -> FloatArray:
        """The scores of val and confirmation images, (S, images)."""
        return np.concatenate([self.val, self.confirm], axis=1)


def check_evidence(search: SearchEvidence, default: RetrainedRecipe, finalists: Sequence[RetrainedRecipe]) -> None:
    """Raise ValueError unless recipes differ, have the same seeds and images, and stand in the search at their rank."""
    recipes = [default, *finalists]
    if len({recipe.identity for recipe in recipes}) != len(recipes):
        raise ValueError("the default and the finalists must be different recipes")
    if len({(recipe.val.shape, recipe.confirm.shape) for recipe in recipes}) != 1:
        raise ValueError("all recipes must be retrained with the same seeds and scored on the same images")
    for recipe in recipes:
        if recipe.rank is None and recipe is default:
            continue
        if recipe.rank is None or not 1 <= recipe.rank <= len(search.identities):
            raise ValueError(f"a finalist's rank must be 1 to {len(search.identities)} ({recipe.rank})")
        if search.identities[recipe.rank - 1] != recipe.identity:
            raise ValueError(f"rank {recipe.rank} of the search must be recipe {recipe.identity}")


def _check_scores(name: str, scores: FloatArray) -> None:
    if scores.ndim != 2:
        raise ValueError(f"{name} must have a row of images for each training ({scores.ndim} dimensions)")
    if not np.isfinite(scores).all():
        raise ValueError(f"{name} must be finite")
