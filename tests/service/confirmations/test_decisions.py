"""The decision, on evidence that is made by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from service.confirmations import (
    ConfirmRule,
    Decision,
    Doubt,
    FloatArray,
    Outcome,
    RetrainedRecipe,
    SearchEvidence,
    decide,
)

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


def searched(recipes: Sequence[RetrainedRecipe]) -> SearchEvidence:
    """Return a search whose trials are ranked like `recipes`; its answers are those of the first seed."""
    scores = np.stack([recipe.val[0] for recipe in recipes])
    return SearchEvidence(
        identities=[recipe.identity for recipe in recipes], scores=scores, naive=[float(s.mean()) for s in scores]
    )


def decided(default: RetrainedRecipe, *finalists: RetrainedRecipe, rule: ConfirmRule = RULE) -> Decision:
    """Decide with a search that ranked the finalists in this order, then the default."""
    ranked = [replace(recipe, rank=rank) for rank, recipe in enumerate([*finalists, default], start=1)]
    return decide(searched(ranked), ranked[-1], ranked[:-1], rule, seed=7)


def test_a_clearly_better_finalist_wins() -> None:
    decision = decided(retrained(0, 0.6), retrained(1, 0.8), retrained(2, 0.7))
    assert (decision.outcome, decision.winner, decision.recipe) == (Outcome.WINNER, "r1", "r1")
    assert decision.doubt is None
    assert decision.probability is not None
    assert decision.probability > 0.99
    assert decision.score is not None
    assert decision.low is not None
    assert decision.high is not None
    assert decision.low < decision.score < decision.high
    assert (decision.retrainings, decision.seeds, decision.val_images, decision.confirm_images) == (12, 4, 400, 200)


def test_a_lead_that_chance_explains_leaves_the_default_and_names_the_images_that_are_missing() -> None:
    decision = decided(retrained(0, 0.75), retrained(4, 0.76))
    assert (decision.outcome, decision.winner, decision.recipe) == (Outcome.DEFAULT_STANDS, None, "r0")
    assert decision.leader == "r4"
    assert decision.needed_images is not None
    assert decision.needed_images > VAL + CONFIRM


def test_a_default_that_no_finalist_beats_is_the_best() -> None:
    decision = decided(retrained(0, 0.8), retrained(1, 0.7), retrained(2, 0.6))
    assert (decision.outcome, decision.recipe, decision.leader) == (Outcome.DEFAULT_BEST, "r0", "r1")
    assert decision.needed_images is None


def test_a_decision_survives_json() -> None:
    decision = decided(retrained(0, 0.6), retrained(1, 0.8), retrained(2, 0.7))
    text = json.dumps(decision.as_json(), sort_keys=True)
    assert Decision.from_json(json.loads(text)) == decision
    again = decided(retrained(0, 0.6), retrained(1, 0.8), retrained(2, 0.7))
    assert json.dumps(again.as_json(), sort_keys=True) == text


@pytest.mark.parametrize(
    ("images", "outcome", "doubt"),
    [
        (59, Outcome.NO_CLAIM, Doubt.FEW_IMAGES_FOR_CLAIM),
        (60, Outcome.DEFAULT_STANDS, Doubt.FEW_IMAGES_FOR_PROBABILITY),
        (119, Outcome.DEFAULT_STANDS, Doubt.FEW_IMAGES_FOR_PROBABILITY),
        (120, Outcome.WINNER, None),
    ],
)
def test_few_confirmation_images_give_no_probability(images: int, outcome: Outcome, doubt: Doubt | None) -> None:
    decision = decided(retrained(0, 0.6, confirm=images), retrained(1, 0.9, confirm=images))
    assert (decision.outcome, decision.doubt) == (outcome, doubt)
    assert (decision.probability is None) == (doubt is not None)
    assert (decision.low is None) == (outcome is Outcome.NO_CLAIM)
    assert decision.recipe == ("r1" if outcome is Outcome.WINNER else "r0")


def test_a_single_seed_gives_no_claim() -> None:
    decision = decided(retrained(0, 0.6, seeds=1), retrained(1, 0.9, seeds=1))
    assert (decision.outcome, decision.doubt, decision.recipe) == (Outcome.NO_CLAIM, Doubt.FEW_SEEDS, "r0")


def test_a_rule_with_a_single_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seeds must be > 1"):
        ConfirmRule(seeds=1)


def test_identical_predictions_are_named_and_nothing_is_divided_by() -> None:
    default = retrained(0, 0.75)
    decision = decided(default, replace(default, identity="r1", trial_number=1))
    assert (decision.outcome, decision.doubt) == (Outcome.DEFAULT_BEST, Doubt.IDENTICAL_PREDICTIONS)
    assert decision.probability is None
    assert decision.finalists[0].lead == 0
