from __future__ import annotations

import numpy as np
import pytest

from service.exports.training_intervals import training_interval

IMAGES = 200
RUNS = 400


def answers(random: np.random.Generator, *, seeds: int, images: int, seed_effect: float, spread: float) -> np.ndarray:
    """Draw which images are answered right, (seeds, images): by an image's ease, a seed's luck, and chance."""
    ease = 3 + spread * random.normal(size=images)
    luck = seed_effect * random.normal(size=(seeds, 1))
    right: np.ndarray = (ease + luck + random.logistic(size=(seeds, images)) > 0).astype(np.float64)
    return right


@pytest.mark.parametrize("seeds", [2, 4, 8])
@pytest.mark.parametrize(("seed_effect", "spread"), [(0.0, 6.0), (0.25, 6.0), (0.5, 6.0), (0.3, 2.0), (0.1, 20.0)])
def test_the_interval_holds_for_a_further_training(seeds: int, seed_effect: float, spread: float) -> None:
    """Ask for 0.95, less three standard errors of the simulation."""
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(RUNS):
        scores = answers(random, seeds=seeds + 1, images=IMAGES, seed_effect=seed_effect, spread=spread)
        interval = training_interval(scores[:-1], confidence=0.95, bounded=True)
        inside += interval.low <= round(scores[-1].mean(), 9) <= interval.high
    assert inside / RUNS >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / RUNS)


def test_trainings_that_agree_on_every_image_leave_half_an_image() -> None:
    scores = np.tile(np.repeat([1.0, 0.0], [75, 25]), (4, 1))
    interval = training_interval(scores, confidence=0.95, bounded=True)
    assert (interval.low, interval.high) == (0.745, 0.755)


def test_the_ends_stay_within_the_range_of_a_share() -> None:
    scores = np.ones((4, 50))
    assert training_interval(scores, confidence=0.95, bounded=True).high == 1.0
    unbounded = np.random.default_rng(0).normal(size=(4, 50))
    assert training_interval(unbounded, confidence=0.95, bounded=False).low < 0


def test_more_confidence_is_wider() -> None:
    scores = answers(np.random.default_rng(1), seeds=4, images=IMAGES, seed_effect=0.2, spread=4.0)
    wide, narrow = (training_interval(scores, confidence=level, bounded=True) for level in (0.99, 0.9))
    assert wide.low < narrow.low < narrow.high < wide.high
