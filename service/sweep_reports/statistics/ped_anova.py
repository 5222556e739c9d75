"""PED-ANOVA: how much a hyperparameter decides if a trial is among the best.

The numbers are those of `optuna.importance.PedAnovaImportanceEvaluator`; a test compares both. They are computed here
because the service's API must answer without loading Optuna, and because an interval takes hundreds of computations.

Source: Watanabe, Bansal & Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
Subspaces", IJCAI 2023 (arXiv:2304.10255). For parameters that only some trials have: "Conditional PED-ANOVA", KDD 2026
(arXiv:2601.20800), theorem 4.2 and algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["GridParameter", "grid_indices", "is_best", "measure_importance"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

STEPS: Final = 50
"""Most values of a parameter's grid."""
_LEAST_TRIALS: Final = 2
"""A parameter that fewer trials have, or lack, is not measured among them."""
_TINY: Final = 1e-12
_SMALLEST_SIGMA: Final = 0.5 / 1.64
"""Standard deviation, in steps of the grid, with which 90 % of a kernel lie in one step."""


@dataclass(frozen=True)
class GridParameter:
    """A parameter on a grid. size: values of the grid. indices: of each trial (N,), -1 for one that lacks it."""

    size: int
    indices: Indices
    is_number: bool


def grid_indices(
    places: Floats, *, low: float, high: float, step: float | None, is_log: bool, is_integer: bool
) -> tuple[int, Indices]:
    """Return the size of the grid of a range, and the grid's index of each value.

    places: values (N,), for a log-scaled range their natural logarithms. low, high: ends of the range, as given.
    """
    steps = STEPS
    if is_integer and is_log:
        steps = min(math.ceil(math.log2(high - low + 1)) + 1, STEPS)
    elif step is not None:
        steps = min(round((high - low) / step) + 1, STEPS)
    first, last = (math.log(low), math.log(high)) if is_log else (low, high)
    width = (last - first) / (steps - 1)
    indices = np.ceil((places - first) / width - 0.5).astype(np.int64)
    return steps, np.clip(indices, 0, steps - 1)


def is_best(losses: Floats, quantile: float) -> NDArray[np.bool_]:
    """Return which trials are in the best `quantile`; equal trials are in or out together. losses: lower is better."""
    last = math.ceil(quantile * losses.size) - 1
    best: NDArray[np.bool_] = losses <= np.partition(losses, last)[last]
    return best


def measure_importance(parameters: Sequence[GridParameter], best: NDArray[np.bool_]) -> Floats:
    """Return the importance of each parameter for being among the best trials, at least 0 each.

    best: which of the N trials are.
    """
    trials, chosen = best.size, int(best.sum())
    shares = np.zeros(len(parameters))
    for index, parameter in enumerate(parameters):
        having = parameter.indices >= 0
        count = int(having.sum())
        top = parameter.indices[having & best]
        if count < _LEAST_TRIALS or parameter.size < 2 or not top.size:
            continue
        weight = (top.size / chosen) ** 2 / (count / trials)
        shares[index] = weight * _divergence(parameter, top, parameter.indices[having])
    return shares * (chosen / trials) ** 2


def _divergence(parameter: GridParameter, top: Indices, every: Indices) -> float:
    """Return the Pearson divergence between the densities of the best trials and of all."""
    dense = [_density(np.bincount(rows, minlength=parameter.size), parameter.is_number) for rows in (top, every)]
    best, whole = dense[0] + _TINY, dense[1] + _TINY
    return float(whole @ (best / whole - 1) ** 2)


def _density(counts: Indices, is_number: bool) -> Floats:
    """Return the Parzen estimate on the grid, with one prior kernel of the weight of a trial."""
    seen = np.flatnonzero(counts)
    weights = np.append(counts[seen], 1).astype(float)
    weights /= weights.sum()
    kernels = _kernels(counts, seen) if is_number else _choices(counts.size, seen)
    density: Floats = weights @ kernels
    return density


def _choices(size: int, seen: Indices) -> Floats:
    """Return a kernel (K + 1, size) for each choice seen, and the prior's."""
    kernels = np.full((seen.size + 1, size), 1 / (seen.size + 1))
    kernels[np.arange(seen.size), seen] += 1
    scaled: Floats = kernels / kernels.sum(axis=1, keepdims=True)
    return scaled


def _kernels(counts: Indices, seen: Indices) -> Floats:
    """Return a discretized normal density (K + 1, size) around each value seen, and the prior's.

    The width is by Scott's rule (Scott, Multivariate Density Estimation, 1992).
    """
    weights = counts[seen]
    cumulated = np.cumsum(weights)
    total = int(cumulated[-1])
    mean = seen @ weights / total
    spread = math.sqrt(float((seen - mean) ** 2 @ weights) / max(1, total - 1))
    first = np.searchsorted(cumulated, total // 4, side="left")
    third = np.searchsorted(cumulated, total * 3 // 4, side="right")
    between = float(seen[min(seen.size - 1, int(third))] - seen[int(first)])
    sigma = max(1.059 * min(between / 1.34, spread) * total**-0.2, _SMALLEST_SIGMA)
    return np.vstack([_normal(counts.size, sigma)[seen], _prior(counts.size)])


def _normal(size: int, sigma: float) -> Floats:
    """Return the normal density around each value of the grid (size, size), cut off at the grid's ends."""
    offsets = np.arange(-size, size + 1) - 0.5  # from a value to the ends of the steps
    below = np.array([_cdf(offset / sigma) for offset in offsets])
    places = np.arange(size)[:, None]
    ends = below[np.arange(size + 1)[None, :] - places + size]
    density: Floats = np.diff(ends, axis=1) / (ends[:, -1:] - ends[:, :1])
    return density


@cache
def _prior(size: int) -> Floats:
    """Return the density of the prior's kernel (size,): in the middle, as wide as the grid."""
    middle, sigma = (size - 1) / 2, float(size)
    ends = np.array([_cdf((edge - 0.5 - middle) / sigma) for edge in range(size + 1)])
    density: Floats = np.diff(ends) / (ends[-1] - ends[0])
    return density


def _cdf(value: float) -> float:
    return 0.5 * math.erfc(-value / math.sqrt(2))
