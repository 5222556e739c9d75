"""The prior that a search gives, and what it does to the decision."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from service.confirmations import Decision, RetrainedRecipe, SearchEvidence, decide
from service.confirmations.priors import TRIALS_FOR_PRIOR, LeadPrior, estimate_prior
from tests.service.confirmations.evidence import RULE, answers, ranked, retrained, searched

DEFAULT = retrained(0, 0.75)
FINALIST = retrained(1, 0.77)


def search_among(accuracies: Sequence[float], *, seed: int = 0) -> tuple[SearchEvidence, list[RetrainedRecipe]]:
    """Return a search with a finalist first, the default last, and these other trials between; and those two."""
    others = [retrained(100 + seed + place, accuracy) for place, accuracy in enumerate(accuracies)]
    first, *between, last = ranked([FINALIST, *others, DEFAULT])
    return searched([first, *between, last]), [first, last]


def decide_among(accuracies: Sequence[float]) -> Decision:
    """Decide between the finalist and the default after a search with these other trials."""
    search, (finalist, default) = search_among(accuracies)
    return decide(search, default, [finalist], RULE, seed=7)


def test_few_trials_give_no_prior() -> None:
    search, (_, default) = search_among([0.75] * (TRIALS_FOR_PRIOR - 2))
    assert estimate_prior(search, default, seed_variance=0.0) is None
    search, (_, default) = search_among([0.75] * (TRIALS_FOR_PRIOR - 1))
    assert estimate_prior(search, default, seed_variance=0.0) is not None


def test_a_search_in_which_nothing_varies_gives_no_prior() -> None:
    same = [replace(DEFAULT, identity=f"r{number}", trial_number=number) for number in range(12)]
    constant = [replace(recipe, val=np.ones_like(recipe.val)) for recipe in ranked(same)]
    assert estimate_prior(searched(constant), constant[-1], seed_variance=0.0) is None


@pytest.mark.parametrize(("center", "spread"), [(0.75, 0.03), (0.70, 0.05), (0.78, 0.0)])
def test_the_prior_is_the_distribution_of_true_leads(center: float, spread: float) -> None:
    rng = np.random.default_rng(1)
    priors = []
    for number in range(20):
        accuracies = np.clip(rng.normal(center, spread, size=40), 0, 0.95)
        scores = np.concatenate([answers(rng, float(accuracy), images=400, seeds=1) for accuracy in accuracies])
        search = SearchEvidence(
            identities=[f"r{place}" for place in range(40)], scores=scores, naive=[float(row.mean()) for row in scores]
        )
        default = replace(DEFAULT, identity="default", val=answers(rng, 0.75, images=400))
        prior = estimate_prior(search, default, seed_variance=0.0)
        assert prior is not None, number
        priors.append(prior)
    assert np.mean([prior.mean for prior in priors]) == pytest.approx(center - 0.75, abs=0.01)
    assert np.mean([prior.variance for prior in priors]) ** 0.5 == pytest.approx(max(spread, 0.01), rel=0.4)


def test_recipes_that_fail_to_learn_do_not_move_the_prior() -> None:
    search, (_, default) = search_among([0.8, 0.79, 0.78, 0.77, 0.76, 0.75, 0.74, 0.73, 0.72, 0.71])
    worst = np.argsort(search.scores[:-1].mean(axis=1))[:4]
    scores = search.scores.copy()
    scores[worst] = 0.0
    failed = replace(search, scores=scores)
    expected = estimate_prior(search, default, seed_variance=1e-5)
    assert estimate_prior(failed, default, seed_variance=1e-5) == expected


def test_a_precise_measurement_outweighs_the_prior() -> None:
    prior = LeadPrior(mean=-0.1, variance=0.01)
    assert prior.weight(0.0) == 1
    assert prior.weight(0.01) == 0.5
    assert prior.weight(1e-6) > 0.999


def test_a_lead_counts_less_if_the_default_is_among_the_best_and_more_if_it_is_middling() -> None:
    alone = decide_among([]).finalists[0]
    among_worse = decide_among([0.71, 0.72] * 6).finalists[0]
    among_better = decide_among([0.79, 0.78] * 6).finalists[0]
    assert alone.raw == among_worse.raw == among_better.raw
    assert among_worse.lead < alone.raw < among_better.lead
    assert among_worse.probability is not None
    assert among_better.probability is not None
    assert alone.probability is not None
    assert among_worse.probability < alone.probability < among_better.probability
    for shrunk in (among_worse, among_better):
        assert shrunk.optimism == pytest.approx(shrunk.raw - shrunk.lead, abs=1e-8)
        assert 0 < shrunk.variance < alone.variance
        assert shrunk.low < shrunk.lead < shrunk.high


def test_the_order_of_images_and_seeds_changes_nothing() -> None:
    search, recipes = search_among([0.7 + place / 100 for place in range(10)])
    rng = np.random.default_rng(5)
    val, confirm, seeds = (rng.permutation(size) for size in (400, 200, 4))
    finalist, default = (
        replace(recipe, val=recipe.val[seeds][:, val], confirm=recipe.confirm[seeds][:, confirm]) for recipe in recipes
    )
    moved = decide(replace(search, scores=search.scores[:, val]), default, [finalist], RULE, seed=7)
    expected = decide(search, recipes[1], [recipes[0]], RULE, seed=7)
    assert json.dumps(moved.as_json()) == json.dumps(expected.as_json())
