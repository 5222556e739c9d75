"""The choice of the searcher that a sweep file asks for."""

from __future__ import annotations

from search_spaces import Point, Recipe, Space, SweepSpec
from service.ledgers import Json
from service.searchers.base import Searcher
from service.searchers.grid import GridSearcher
from service.searchers.points import PointsSearcher
from service.searchers.random_draws import RandomSearcher
from service.searchers.tpe import TpeSearcher
from service.warm_starts import Prior

__all__ = ["build_searcher"]


def build_searcher(spec: SweepSpec, *, trials: int | None = None, warm_start: Json | None = None) -> Searcher:
    """Return the searcher that a sweep file asks for.

    trials: the number of trials that the sweep began with, if the budget has changed since. warm_start: what the
        sweep's row keeps of earlier sweeps.
    """
    seed, prior = spec.search.seed, Prior.from_json(warm_start)
    if spec.search.algorithm == "points":
        return PointsSearcher(spec.points, longest_first=_runs_whole(spec))
    first = [_point(spec.space, recipe) for recipe in spec.first_points]
    if spec.search.algorithm == "random":
        return RandomSearcher(spec.space, seed=seed, first=first, then=prior.first)
    if spec.search.algorithm == "grid":
        return GridSearcher(spec.space, seed=seed, trials=trials or spec.budget.trials, first=first)
    return TpeSearcher(spec.space, seed=seed, goal=spec.metric.goal, first=first, prior=prior)


def _point(space: Space, recipe: Recipe) -> Point:
    point = space.find_point(recipe)
    assert point is not None, "the sweep file's reader has refused points outside the space"
    return point


def _runs_whole(spec: SweepSpec) -> bool:
    """Return whether every trial is to run to its end, so that only the time depends on their order."""
    limits = (spec.budget.wall, spec.budget.gpu_hours, spec.budget.max_failed)
    return spec.scheduler.type == "none" and all(limit is None for limit in limits)
