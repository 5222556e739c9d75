"""The interval in which the score of one more training falls, on the same images as those before."""

from __future__ import annotations

import math

from service.confirmations import FloatArray
from service.confirmations.distributions import t_quantile
from service.confirmations.estimates import rounded
from service.confirmations.mean_squares import MeanSquares
from service.exports.recipe_files import Interval

__all__ = ["training_interval"]


def training_interval(scores: FloatArray, *, confidence: float, bounded: bool) -> Interval:
    """Return the prediction interval of the mean score of one further training with a fresh seed.

    With S trainings of mean score m, whose scores vary with the variance v, it is
    m +- t(S - 1) sqrt(v (1 + 1 / S)): the interval of one further normal observation (Hahn & Meeker 1991, Statistical
    Intervals, section 4.7). The images are the same, so that only the seed counts. v is the larger of two estimates:
    MSS / n, the variance between the S scores, and MSE / n, the variance that they would have if each image flipped by
    itself, because S - 1 degrees of freedom may show too little. Bounded scores are shares of images: half an image is
    added to each end, and the ends lie in 0..1.

    Args:
        scores: (seeds, images), two or more of each.
        confidence: such as 0.95.
        bounded: if the mean lies in 0..1.
    """
    table = MeanSquares.measure(scores)
    variance = max(table.of_seeds, table.of_residual) / table.images
    half = t_quantile((1 + confidence) / 2, table.seeds - 1) * math.sqrt(variance * (1 + 1 / table.seeds))
    if not bounded:
        return Interval(low=rounded(table.mean - half), high=rounded(table.mean + half), level=confidence)
    half += 0.5 / table.images
    low, high = max(0.0, table.mean - half), min(1.0, table.mean + half)
    return Interval(low=rounded(low), high=rounded(high), level=confidence)
