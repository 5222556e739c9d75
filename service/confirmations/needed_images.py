"""The number of images that would confirm a lead."""

from __future__ import annotations

import math
from typing import Final

from service.confirmations.distributions import normal_quantile
from service.confirmations.mean_squares import VarianceOfMean

__all__ = ["needed_images", "seeds_dominate"]

_POWER: Final = 0.8
"""Chance that a lead of the measured size passes the gate with the number of images that is named."""


def needed_images(lead: float, variance: VarianceOfMean, *, gate: float) -> int | None:
    """Return how many val + confirmation images would show `lead`; None without a lead, or if nothing varies.

    N = (z_gate + z_0.8)^2 n V / lead^2, the sample size of a one-sided test (Lehr 1992, Statistics in Medicine 11, has
    it for two samples). With gate 0.9 the factor is (1.28 + 0.84)^2.
    """
    if lead <= 0 or variance.value == 0:
        return None
    factor = (normal_quantile(gate) + normal_quantile(_POWER)) ** 2
    return math.ceil(factor * variance.images * variance.value / lead**2)


def seeds_dominate(variance: VarianceOfMean) -> bool:
    """Return whether most of the variance comes from training seeds, so that more images would help little."""
    return variance.seed_part > variance.image_part
