"""Ranks, and the correlation between the ranks of two lists."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ranks", "spearman"]

Floats = NDArray[np.float64]


def ranks(values: Floats) -> Floats:
    """Return ranks from 1; equal values have their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: Floats = (last - (counts - 1) / 2)[inverse]
    return means


def spearman(first: Floats, second: Floats) -> float:
    """Return the rank correlation (Spearman, "The proof and measurement of association", 1904); 0 without variation."""
    if len(first) < 2:
        return 0.0
    a, b = ranks(first), ranks(second)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0
