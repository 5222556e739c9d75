"""Confidence intervals of a score and of a difference."""

from __future__ import annotations

import math
from dataclasses import dataclass

from service.confirmations.distributions import t_quantile
from service.confirmations.evidence import FloatArray
from service.confirmations.mean_squares import MeanSquares

__all__ = ["Interval", "difference_interval", "score_interval"]


@dataclass(frozen=True)
class Interval:
    """The ends of a confidence interval."""

    low: float
    high: float


def score_interval(scores: FloatArray, *, confidence: float, bounded: bool) -> Interval:
    """Return the interval of a recipe's mean score over seeds and images.

    Bounded scores have means from 0 to 1. Their interval is Wilson's (1927, JASA 22) with the effective number of
    images at which a share of this size would have the measured variance, and with Student's t for the normal
    quantile. It stays inside 0..1 and is right also if all answers are right. The effective number covers the weights
    of balanced accuracy too. Unbounded scores have the interval mean +- t * standard error.

    Args:
        scores: (seeds, images), two or more of each.
        confidence: such as 0.95.
        bounded: if the mean lies in 0..1.
    """
    table = MeanSquares.measure(scores)
    variance = table.variance()
    if not bounded:
        return difference_interval(table.mean, variance.value, df=variance.df, confidence=confidence)
    mean, images = min(max(table.mean, 0.0), 1.0), table.images
    effective, df = float(images), float(images - 1)
    if variance.value > 0:
        effective, df = min(max(mean * (1 - mean) / variance.value, 1.0), 4.0 * images), variance.df
    quantile = t_quantile((1 + confidence) / 2, df)
    square = quantile**2 / effective
    half = quantile * math.sqrt(mean * (1 - mean) / effective + square / (4 * effective))
    return Interval((mean + square / 2 - half) / (1 + square), (mean + square / 2 + half) / (1 + square))


def difference_interval(mean: float, variance: float, *, df: float, confidence: float) -> Interval:
    """Return mean +- t * standard error; variance: of the mean, with `df` degrees of freedom."""
    half = t_quantile((1 + confidence) / 2, df) * math.sqrt(variance)
    return Interval(mean - half, mean + half)
