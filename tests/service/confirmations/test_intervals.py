"""Intervals of a score, and the number of images that a lead needs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from service.confirmations.distributions import expected_excess, normal_cdf, normal_quantile, t_cdf, t_quantile
from service.confirmations.intervals import score_interval
from service.confirmations.mean_squares import MeanSquares
from service.confirmations.needed_images import needed_images, seeds_dominate


def test_an_interval_without_differences_between_seeds_is_wilsons() -> None:
    right = np.zeros(200)
    right[:150] = 1.0
    interval = score_interval(np.stack([right] * 4), confidence=0.95, bounded=True)
    wilson = stats.binomtest(150, 200).proportion_ci(method="wilson")
    assert interval.low == pytest.approx(wilson.low, abs=0.001)
    assert interval.high == pytest.approx(wilson.high, abs=0.001)


@pytest.mark.parametrize(("images", "accuracy"), [(60, 0.9), (262, 0.8), (262, 0.97)])
def test_an_interval_covers_as_often_as_it_says(images: int, accuracy: float) -> None:
    rng = np.random.default_rng(images)
    covered, runs = 0, 2000
    for _ in range(runs):
        easy = rng.random(images) < 2 * accuracy - 1
        shift = rng.normal(0, 0.01, size=(4, 1))
        scores = np.where(easy, 1.0, rng.random((4, images)) < 0.5 + shift)
        interval = score_interval(scores.astype(np.float64), confidence=0.95, bounded=True)
        covered += interval.low <= accuracy <= interval.high
    assert 0.935 <= covered / runs <= 0.975


def test_weighted_answers_of_unequal_classes_have_a_wider_interval() -> None:
    rng = np.random.default_rng(5)
    right = (rng.random((4, 200)) < 0.8).astype(np.float64)
    weights = np.where(np.arange(200) < 20, 200 / (2 * 20), 200 / (2 * 180))
    plain = score_interval(right, confidence=0.95, bounded=True)
    balanced = score_interval(right * weights, confidence=0.95, bounded=True)
    assert balanced.high - balanced.low > 1.5 * (plain.high - plain.low)


def test_a_lead_needs_as_many_images_as_the_test_of_it_has_power_for() -> None:
    rng = np.random.default_rng(6)
    variance = MeanSquares.measure(rng.normal(size=(4, 800))).variance()
    count = needed_images(0.01, variance, gate=0.9)
    assert count is not None
    error = np.sqrt(variance.value * 800 / count)
    assert normal_cdf(0.01 / error - normal_quantile(0.9)) == pytest.approx(0.8, abs=0.01)
    assert needed_images(0.0, variance, gate=0.9) is None
    assert needed_images(0.01, MeanSquares.measure(np.ones((4, 10))).variance(), gate=0.9) is None


def test_seeds_dominate_if_they_differ_more_than_images() -> None:
    rng = np.random.default_rng(7)
    noise = rng.normal(size=(4, 100))
    assert seeds_dominate(MeanSquares.measure(noise + 5 * rng.normal(size=(4, 1))).variance())
    assert not seeds_dominate(MeanSquares.measure(noise + 5 * rng.normal(size=(1, 100))).variance())


def test_distributions_equal_scipys() -> None:
    assert t_cdf(1.3, 7.5) == pytest.approx(stats.t.cdf(1.3, 7.5))
    assert t_quantile(0.975, 4.2) == pytest.approx(stats.t.ppf(0.975, 4.2))
    assert normal_cdf(-0.7) == pytest.approx(stats.norm.cdf(-0.7))
    draws = np.random.default_rng(8).normal(-0.3, 2.0, size=400_000)
    assert expected_excess(-0.3, 2.0) == pytest.approx(np.maximum(draws, 0).mean(), rel=0.01)
    assert (expected_excess(0.4, 0.0), expected_excess(-0.4, 0.0)) == (0.4, 0.0)
