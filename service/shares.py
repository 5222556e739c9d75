"""The confidence interval of a share, such as that of images which a model has right."""

from __future__ import annotations

import math

__all__ = ["wilson_bounds"]

_NORMAL_QUANTILE = 1.959963984540054


def wilson_bounds(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `count` things (Wilson 1927, JASA 22)."""
    square = _NORMAL_QUANTILE**2 / count
    half = _NORMAL_QUANTILE * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return (share + square / 2 - half) / (1 + square), (share + square / 2 + half) / (1 + square)
