"""The order in which numeric hyperparameters matter for the metric, as far as a sweep's trials tell."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from service.reports import Leaderboard

__all__ = ["rank_numbers"]

_FEWEST_TRIALS = 8
_GROUPS = 4


def rank_numbers(board: Leaderboard, names: Iterable[str]) -> list[str]:
    """Return the names of numeric hyperparameters that every trial has, the most important first.

    The trials are divided by a hyperparameter's value into at most four groups of about equal size. Its importance is
    the correlation ratio, the groups' share of the metric's variance (Fisher, Statistical Methods for Research Workers,
    1925, section 45). Fewer than eight trials with a value say nothing: the list is then empty.
    """
    trials = [trial for trial in board.ranked if trial.best_value is not None and math.isfinite(trial.best_value)]
    if len(trials) < _FEWEST_TRIALS:
        return []
    scores = np.array([trial.best_value for trial in trials], dtype=np.float64)
    shares = {}
    for name in names:
        values = [trial.recipe.get(name) for trial in trials]
        if all(isinstance(value, int | float) for value in values):
            shares[name] = _explained(np.array(values, dtype=np.float64), scores)
    return sorted(shares, key=lambda name: -shares[name])


def _explained(values: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """Return the share of the scores' variance between groups of values; 0 if all are equal."""
    total = float(((scores - scores.mean()) ** 2).sum())
    edges = np.quantile(values, [number / _GROUPS for number in range(1, _GROUPS)])
    groups = np.searchsorted(edges, values, side="left")
    between = sum(
        float((groups == group).sum() * (scores[groups == group].mean() - scores.mean()) ** 2)
        for group in np.unique(groups)
    )
    return between / total if total > 0 else 0.0
