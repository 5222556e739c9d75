"""Evidence made by hand for the tests of the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.confirmations import ConfirmRule, Decision, FloatArray, RetrainedRecipe, SearchEvidence, decide

RULE = ConfirmRule()
VAL, CONFIRM, SEEDS = 400, 200, 4


def answers(rng: np.random.Generator, accuracy: float, *, images: int, seeds: int = SEEDS) -> FloatArray:
    """Return right and wrong answers (seeds, images); most images are easy or hard for every recipe."""
    difficulty = np.random.default_rng(images).beta(4, 1, size=images)
    chances = np.clip(difficulty + accuracy - difficulty.mean(), 0, 1)
    return np.asarray(rng.random((seeds, images)) < chances, dtype=np.float64)


def retrained(
    number: int,
    accuracy: float,
    *,
    rank: int | None = None,
    cost: float = 1.0,
    seeds: int = SEEDS,
    val: int = VAL,
    confirm: int = CONFIRM,
) -> RetrainedRecipe:
    """Return a recipe with this true accuracy."""
    rng = np.random.default_rng(number)
    return RetrainedRecipe(
        identity=f"r{number}",
        trial_number=number,
        rank=rank,
        cost=cost,
        val=answers(rng, accuracy, images=val, seeds=seeds),
        confirm=answers(rng, accuracy, images=confirm, seeds=seeds),
    )


def ranked(recipes: Sequence[RetrainedRecipe]) -> list[RetrainedRecipe]:
    """Rank recipes in this order."""
    return [replace(recipe, rank=rank) for rank, recipe in enumerate(recipes, start=1)]


def searched(recipes: Sequence[RetrainedRecipe]) -> SearchEvidence:
    """Return a search whose trials are ranked like `recipes`; its answers are those of the first seed."""
    scores = np.stack([recipe.val[0] for recipe in recipes])
    return SearchEvidence(
        identities=[recipe.identity for recipe in recipes], scores=scores, naive=[float(s.mean()) for s in scores]
    )


def decided(default: RetrainedRecipe, *finalists: RetrainedRecipe, rule: ConfirmRule = RULE) -> Decision:
    """Decide with a search that ranked the finalists in this order, then the default."""
    recipes = ranked([*finalists, default])
    return decide(searched(recipes), recipes[-1], recipes[:-1], rule, seed=7)
