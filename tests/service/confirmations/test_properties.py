"""Properties of the decision that hold for any evidence."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.confirmations import Decision, RetrainedRecipe, SearchEvidence, decide
from tests.service.confirmations.evidence import RULE, ranked, retrained, searched

numbers = st.integers(min_value=0, max_value=10_000)
accuracies = st.lists(st.sampled_from([0.7, 0.74, 0.76, 0.8]), min_size=2, max_size=4)


def evidence(seed: int, chances: list[float]) -> tuple[SearchEvidence, list[RetrainedRecipe]]:
    """Return a search and its recipes, ranked by the first seed's val accuracy."""
    recipes = [retrained(seed * 10 + place, chance) for place, chance in enumerate(chances)]
    recipes.sort(key=lambda recipe: (-recipe.val[0].mean(), recipe.trial_number))
    return searched(recipes), ranked(recipes)


def text(decision: Decision) -> str:
    """Return the bytes that are stored."""
    return json.dumps(decision.as_json(), sort_keys=True)


@settings(max_examples=25, deadline=None)
@given(seed=numbers, chances=accuracies, shuffle=numbers)
def test_the_order_of_images_seeds_and_finalists_changes_nothing(seed: int, chances: list[float], shuffle: int) -> None:
    search, (default, *finalists) = evidence(seed, chances)
    rng = np.random.default_rng(shuffle)
    val, confirm, seeds = (rng.permutation(size) for size in (*(400, 200), 4))
    moved = [
        replace(recipe, val=recipe.val[seeds][:, val], confirm=recipe.confirm[seeds][:, confirm])
        for recipe in (default, *finalists)
    ]
    shuffled = [moved[1:][place] for place in rng.permutation(len(finalists))]
    moved_search = replace(search, scores=search.scores[:, val])
    expected = decide(search, default, finalists, RULE, seed=3)
    assert text(decide(moved_search, moved[0], shuffled, RULE, seed=3)) == text(expected)


@settings(max_examples=15, deadline=None)
@given(seed=numbers, chances=accuracies)
def test_an_image_that_all_answer_right_shrinks_the_difference_by_its_share(seed: int, chances: list[float]) -> None:
    search, (default, *finalists) = evidence(seed, chances)

    def with_image(recipe: RetrainedRecipe) -> RetrainedRecipe:
        return replace(recipe, confirm=np.column_stack([recipe.confirm, np.ones(len(recipe.confirm))]))

    before = decide(search, default, finalists, RULE, seed=3)
    after = decide(search, with_image(default), [with_image(recipe) for recipe in finalists], RULE, seed=3)
    for old, new in zip(before.finalists, after.finalists, strict=True):
        assert np.isclose(new.raw, old.raw * 600 / 601, atol=1e-8)
        assert np.isclose(new.lead, old.lead * 600 / 601, atol=1e-8)
    assert after.score is not None
    assert before.score is not None
    if after.recipe == before.recipe:
        assert np.isclose(after.score, (before.score * 200 + 1) / 201, atol=1e-8)


@settings(max_examples=15, deadline=None)
@given(seed=numbers, chances=accuracies)
def test_figures_are_possible(seed: int, chances: list[float]) -> None:
    search, (default, *finalists) = evidence(seed, chances)
    decision = decide(search, default, finalists, RULE, seed=3)
    assert Decision.from_json(json.loads(text(decision))) == decision
    assert decision.low is not None
    assert decision.high is not None
    assert decision.score is not None
    assert 0 <= decision.low <= decision.score <= decision.high <= 1
    for finalist in decision.finalists:
        assert finalist.low <= finalist.lead <= finalist.high
        assert finalist.variance > 0
        assert finalist.df >= 3
        assert finalist.probability is not None
        assert (finalist.probability > 0.5) == (finalist.lead > 0)
    leads = [finalist.lead for finalist in decision.finalists]
    assert decision.finalist(decision.leader or "").lead == max(leads)
