"""The optimism of the best scores of a search, and the ranks that the images do not tell apart from the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.confirmations.evidence import FloatArray, SearchEvidence

__all__ = ["DRAWS", "LeaderboardOptimism", "optimism", "rank_optimism"]

DRAWS: Final = 1000
"""Bootstrap draws of the val images."""

_SCREEN: Final = 0.995
_LEVEL: Final = 0.95
_PLACES: Final = 12
"""Decimals to which scores are compared, so that sums in another order give the same ranks."""


@dataclass(frozen=True, kw_only=True)
class LeaderboardOptimism:
    """Findings about a leaderboard from the search's own images; they see no noise of training seeds.

    Attributes:
        optimism: how much the best score is expected to exceed the score of its model on new images.
        corrected: the best score less the optimism.
        contenders: for each rank, if it is not told apart from the first; the first always is a contender.
    """

    optimism: float
    corrected: float
    contenders: tuple[bool, ...]


def optimism(search: SearchEvidence, *, seed: int, draws: int = DRAWS) -> LeaderboardOptimism:
    """Return the expected optimism of the best score, and the ranks that may be the best.

    The optimism is that of bootstrap bias-corrected cross-validation, see `rank_optimism`.

    The contenders are a subset selection (Gupta 1965, Technometrics 7; Hsu 1984, Annals of Statistics 12): they hold
    the truly best of these trained models with a confidence of 95 %, for any number of recipes. A rank is told apart
    if the first is ahead of it by more than the 95 % quantile, over the paired bootstrap, of the largest error in any
    lead over it. Leads of recipes that are far behind cannot matter, so that these are screened out first with
    99.5 %.
    """
    resampled = _Resampled.draw(search.scores, seed=seed, draws=draws)
    bias = float(_optimism_of_ranks(resampled, [1])[0])
    return LeaderboardOptimism(
        optimism=round(bias, 9), corrected=round(float(search.naive[0]) - bias, 9), contenders=_contenders(resampled)
    )


def rank_optimism(scores: FloatArray, ranks: Sequence[int], *, seed: int, draws: int = DRAWS) -> list[float]:
    """Return for each rank, from 1, how much the score at that rank is expected to exceed its model's on new images.

    In each bootstrap draw of the images the recipes are ranked by their score on the drawn images, and the recipe at
    that rank is scored on the images left out. The mean of these scores over the draws is the honest score, and the
    optimism is the score at that rank minus the honest one (Tsamardinos, Greasidou & Borboudakis 2018, Machine
    Learning 107, algorithm 5). In each draw, the mean error of all recipes' scores on the images left out is taken off,
    which removes most of the bootstrap's own noise.

    scores: (recipes, images), best first. The order of the images changes nothing.
    """
    return [float(value) for value in _optimism_of_ranks(_Resampled.draw(scores, seed=seed, draws=draws), ranks)]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Resampled:
    """The recipes' scores (recipes, images), their means (recipes,), and their means in each draw (recipes, draws).

    `absent` (draws, images) is 1 for an image that is left out of a draw.
    """

    scores: FloatArray
    means: FloatArray
    drawn: FloatArray
    absent: FloatArray

    @classmethod
    def draw(cls, scores: FloatArray, *, seed: int, draws: int) -> _Resampled:
        ordered = _in_canonical_order(scores)
        images = ordered.shape[1]
        counts = draw_image_counts(images, seed=seed, draws=draws)
        return cls(
            scores=ordered,
            means=np.round(ordered.mean(axis=1), _PLACES),
            drawn=np.round(ordered @ counts.T / images, _PLACES),
            absent=(counts == 0).astype(np.float64),
        )

    def left_out(self, scores: FloatArray) -> FloatArray:
        """Return means of `scores` (..., images) on the images left out of each draw, (..., draws)."""
        means: FloatArray = np.round(scores @ self.absent.T / np.maximum(self.absent.sum(axis=1), 1.0), _PLACES)
        return means


def _in_canonical_order(scores: FloatArray) -> FloatArray:
    """Sort the images by their scores, so that images in another order give the same draws."""
    columns = np.ascontiguousarray(scores.T)
    keys: NDArray[Any] = columns.view(np.dtype((np.void, columns.dtype.itemsize * columns.shape[1]))).ravel()
    return np.ascontiguousarray(columns[np.argsort(keys, kind="stable")].T)


def draw_image_counts(images: int, *, seed: int, draws: int) -> FloatArray:
    """Return how often each image is drawn, (draws, images). The stream of `RandomState` never changes."""
    drawn = np.random.RandomState(seed % 2**32).randint(0, images, size=(draws, images))
    flat = (drawn + np.arange(draws)[:, None] * images).ravel()
    return np.bincount(flat, minlength=draws * images).reshape(draws, images).astype(np.float64)


def _optimism_of_ranks(resampled: _Resampled, ranks: Sequence[int]) -> FloatArray:
    picked = _best_by_draw(resampled.drawn, max(ranks))[[rank - 1 for rank in ranks]]
    recipes, places = np.unique(picked, return_inverse=True)
    left_out = resampled.left_out(resampled.scores[recipes])
    scored = np.take_along_axis(left_out, places.reshape(picked.shape), axis=0)
    mean_error = resampled.left_out(resampled.scores.mean(axis=0)) - resampled.means.mean()
    honest = scored - mean_error
    values: FloatArray = resampled.means[[rank - 1 for rank in ranks]] - honest.mean(axis=1)
    return values


def _best_by_draw(drawn: FloatArray, count: int) -> NDArray[np.int64]:
    """Return the best `count` recipes of each draw, (count, draws); of equal scores the one that comes first."""
    left = drawn.T.copy()
    best = np.empty((count, len(left)), dtype=np.int64)
    for place in range(count):
        best[place] = left.argmax(axis=1)
        left[np.arange(len(left)), best[place]] = -np.inf
    return best


def _contenders(resampled: _Resampled) -> tuple[bool, ...]:
    errors = resampled.drawn - resampled.means[:, None]
    near = _within(resampled.means, errors, errors.max(axis=0), _SCREEN)
    kept = near & _within(resampled.means, errors, errors[near].max(axis=0), _LEVEL)
    kept[0] = True
    return tuple(bool(keep) for keep in kept)


def _within(means: FloatArray, errors: FloatArray, highest: FloatArray, level: float) -> NDArray[np.bool_]:
    """Return which recipes are behind the first by no more than `level` of the draws explain."""
    reach = np.quantile(highest - errors, level, axis=1)
    return np.asarray(means[0] - means <= np.maximum(reach, 0.0) + 10.0**-_PLACES)
