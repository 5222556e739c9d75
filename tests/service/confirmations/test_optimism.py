"""The optimism of a leaderboard and the ranks that are not told apart from its first."""

from __future__ import annotations

import time

import numpy as np
import pytest

from service.confirmations import FloatArray, SearchEvidence, optimism
from service.confirmations.bootstrap import rank_optimism


def leaderboard(scores: FloatArray) -> SearchEvidence:
    """Return a search with these answers, best first."""
    ordered = scores[np.argsort(-scores.mean(axis=1), kind="stable")]
    names = [f"r{row}" for row in range(len(scores))]
    return SearchEvidence(identities=names, scores=ordered, naive=[float(row.mean()) for row in ordered])


def answers(seed: int, accuracies: FloatArray, images: int = 300) -> FloatArray:
    """Return independent right and wrong answers of recipes with these accuracies."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.random((len(accuracies), images)) < accuracies[:, None], dtype=np.float64)


def test_the_best_of_equal_recipes_is_as_optimistic_as_it_is_lucky() -> None:
    truth = np.full(50, 0.8)
    measured = [leaderboard(answers(seed, truth)) for seed in range(30)]
    luck = np.mean([search.naive[0] - 0.8 for search in measured])
    estimates = [optimism(search, seed=1).optimism for search in measured]
    assert np.mean(estimates) == pytest.approx(luck, rel=0.25)


def test_a_search_without_choice_has_no_optimism() -> None:
    estimate = optimism(leaderboard(answers(1, np.array([0.8]))), seed=1)
    assert (estimate.optimism, estimate.contenders) == (0.0, (True,))
    assert estimate.corrected == pytest.approx(leaderboard(answers(1, np.array([0.8]))).naive[0])


def test_lower_ranks_are_less_optimistic() -> None:
    ranks = rank_optimism(leaderboard(answers(2, np.full(20, 0.8))).scores, [1, 5, 20], seed=1)
    assert ranks[0] > ranks[1] > 0 > ranks[2]


def test_the_order_of_images_changes_nothing() -> None:
    search = leaderboard(answers(3, np.linspace(0.6, 0.8, 20)))
    moved = SearchEvidence(
        identities=search.identities,
        scores=search.scores[:, np.random.default_rng(1).permutation(300)],
        naive=search.naive,
    )
    assert optimism(moved, seed=5) == optimism(search, seed=5)


def test_ranks_far_behind_are_told_apart_and_equal_ones_are_not() -> None:
    scores = answers(1, np.array([0.9, 0.9, 0.3]), images=500)
    assert optimism(leaderboard(scores), seed=1).contenders == (True, True, False)


def test_the_contenders_hold_the_best_recipe_as_often_as_they_say() -> None:
    truth = np.linspace(0.70, 0.80, 40)
    kept, sizes, runs = 0, [], 150
    for seed in range(runs):
        scores = answers(seed, truth, images=400)
        order = np.argsort(-scores.mean(axis=1), kind="stable")
        contenders = optimism(leaderboard(scores), seed=seed, draws=200).contenders
        kept += contenders[int(np.flatnonzero(order == len(truth) - 1)[0])]
        sizes.append(sum(contenders))
    assert kept / runs >= 0.94
    assert np.mean(sizes) < 35


def test_five_hundred_trials_take_a_fraction_of_a_second() -> None:
    search = leaderboard(answers(5, np.linspace(0.5, 0.9, 500), images=2000))
    optimism(search, seed=1, draws=10)
    started = time.process_time()
    optimism(search, seed=1)
    assert time.process_time() - started < 1.5
