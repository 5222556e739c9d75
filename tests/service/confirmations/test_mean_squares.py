"""Mean squares and the variance of a mean over seeds and images."""

from __future__ import annotations

import numpy as np
import pytest

from service.confirmations.mean_squares import MeanSquares, pooled_seed_part


def test_mean_squares_equal_their_definitions() -> None:
    scores = np.random.default_rng(1).normal(size=(5, 40))
    table = MeanSquares.measure(scores)
    mean, by_image, by_seed = scores.mean(), scores.mean(axis=0), scores.mean(axis=1)
    residual = scores - by_image - by_seed[:, None] + mean
    assert table.mean == pytest.approx(mean)
    assert table.of_images == pytest.approx(5 * ((by_image - mean) ** 2).sum() / 39)
    assert table.of_seeds == pytest.approx(40 * ((by_seed - mean) ** 2).sum() / 4)
    assert table.of_residual == pytest.approx((residual**2).sum() / (39 * 4))


def test_the_variance_is_that_of_means_over_new_seeds_and_new_images() -> None:
    rng = np.random.default_rng(2)
    means, variances = [], []
    for _ in range(3000):
        image, seed, noise = rng.normal(0, 1.0, 50), rng.normal(0, 0.3, (4, 1)), rng.normal(0, 0.5, (4, 50))
        table = MeanSquares.measure(image + seed + noise)
        means.append(table.mean)
        variances.append((table.of_images + table.seed_part) / (50 * 4))
    assert np.mean(variances) == pytest.approx(1 / 50 + 0.09 / 4 + 0.25 / 200, rel=0.05)
    assert np.var(means) == pytest.approx(np.mean(variances), rel=0.1)


def test_degrees_of_freedom_lie_between_those_of_seeds_and_of_images() -> None:
    rng = np.random.default_rng(3)
    seeds_only = MeanSquares.measure(np.repeat(rng.normal(size=(4, 1)), 100, axis=1))
    images_only = MeanSquares.measure(np.repeat(rng.normal(size=(1, 100)), 4, axis=0))
    assert seeds_only.variance().df == pytest.approx(3)
    assert images_only.variance().df == pytest.approx(99)


def test_equal_answers_have_no_variance() -> None:
    variance = MeanSquares.measure(np.ones((4, 100))).variance()
    assert (variance.value, variance.df) == (0.0, 99.0)


def test_the_seed_part_is_pooled_over_finalists_and_never_negative() -> None:
    rng = np.random.default_rng(4)
    tables = [MeanSquares.measure(rng.normal(size=(4, 100)) + rng.normal(size=(4, 1))) for _ in range(3)]
    part, df = pooled_seed_part(tables)
    assert part == pytest.approx(np.mean([table.of_seeds - table.of_residual for table in tables]))
    assert df == pytest.approx(3 * 3 / 1.5)
    assert pooled_seed_part([MeanSquares.measure(np.eye(4))])[0] == 0.0
