"""Sweeps drawn from stored curves, searched by Meltpoint's own searchers and schedulers."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from selection_curves import Curves

from search_spaces import Goal, Point, Recipe, Space, grid_points, rungs_below
from service.ledgers import TrialState
from service.schedulers import Asha, NoStopping, Report, Reports, Scheduler
from service.schedulers.brackets import Brackets
from service.searchers.base import Searcher
from service.searchers.random_draws import RandomSearcher
from service.searchers.tpe import TpeSearcher

LANES: Final = 4
"""Trials that a simulated sweep trains at once."""

CONFIRM_SEEDS: Final = 8
"""Training seeds that are drawn for the confirmation of each sweep."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """The images and seeds of many sweeps on one set, and what follows from them for every recipe.

    Images and seeds are drawn with replacement, so that each sweep is an independent sample and the truth is known:
    the mean over all stored images and seeds. A training is scored at its best epoch on the sweep's val images.

    Attributes:
        val, confirm: positions in the pool, (sweeps, images).
        search_seed: (sweeps,); confirm_seeds: (sweeps, CONFIRM_SEEDS).
        best_epoch: (sweeps, recipes, seeds), from 0.
        curves: val accuracy of the search's seed after each epoch, (sweeps, recipes, epochs).
        truth: accuracy of each recipe in each sweep, (sweeps, recipes).
    """

    val: Ints
    confirm: Ints
    search_seed: Ints
    confirm_seeds: Ints
    best_epoch: NDArray[np.uint8]
    curves: Floats
    truth: NDArray[np.float64]

    @classmethod
    def make(cls, curves: Curves, *, sweeps: int, val: int, confirm: int, seed: int) -> Draws:
        """Draw images and seeds of `sweeps` sweeps."""
        rng = np.random.default_rng(seed)
        recipes, seeds, epochs, pool = curves.correct.shape
        val_rows, confirm_rows = (rng.integers(pool, size=(sweeps, count)) for count in (val, confirm))
        search_seed = rng.integers(seeds, size=sweeps)
        confirm_seeds = rng.integers(seeds, size=(sweeps, CONFIRM_SEEDS))
        flat = (val_rows + np.arange(sweeps)[:, None] * pool).ravel()
        counts = np.bincount(flat, minlength=sweeps * pool).reshape(sweeps, pool).astype(np.float32)
        best_epoch = np.zeros((sweeps, recipes, seeds), dtype=np.uint8)
        searched = np.zeros((sweeps, recipes, epochs), dtype=np.float32)
        truth = np.zeros((sweeps, recipes))
        for number in range(seeds):
            right = curves.correct[:, number].reshape(recipes * epochs, pool).astype(np.float32)
            accuracy = (counts @ right.T / np.float32(val)).reshape(sweeps, recipes, epochs)
            best = accuracy.argmax(axis=2)
            best_epoch[:, :, number] = best
            mine = search_seed == number
            searched[mine] = accuracy[mine]
            by_epoch = right.mean(axis=1).reshape(recipes, epochs).astype(np.float64)
            truth += by_epoch[np.arange(recipes), best] / seeds
        return cls(
            val=val_rows,
            confirm=confirm_rows,
            search_seed=search_seed,
            confirm_seeds=confirm_seeds,
            best_epoch=best_epoch,
            curves=searched,
            truth=truth,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchResult:
    """The trials of a simulated sweep, best first; those that were stopped early count too, as on a leaderboard.

    Attributes:
        recipes: rows of the curves. numbers: trial numbers.
        scores: best val accuracy that the trial has reached. epochs: the epoch of it, from 0.
    """

    recipes: Ints
    numbers: Ints
    scores: Floats
    epochs: Ints

    @classmethod
    def read(cls, file: Path) -> list[SearchResult]:
        """Return the results of many sweeps that `write` stored."""
        with np.load(file) as stored:
            columns = [stored[name] for name in ("recipes", "numbers", "scores", "epochs")]
            ends = np.cumsum(stored["trials"])[:-1]
        rows = zip(*(np.split(column, ends) for column in columns), strict=True)
        return [
            cls(recipes=recipes, numbers=numbers, scores=scores, epochs=epochs)
            for recipes, numbers, scores, epochs in rows
        ]

    @staticmethod
    def write(file: Path, results: Sequence[SearchResult]) -> None:
        """Store the results of many sweeps."""
        temporary = file.with_suffix(".tmp.npz")
        np.savez_compressed(
            temporary,
            recipes=np.concatenate([result.recipes for result in results]),
            numbers=np.concatenate([result.numbers for result in results]),
            scores=np.concatenate([result.scores for result in results]),
            epochs=np.concatenate([result.epochs for result in results]),
            trials=np.array([len(result.recipes) for result in results]),
        )
        temporary.rename(file)


@dataclass(frozen=True)
class StoredRecipe:
    """All that a searcher reads of a recipe, and its row in the curves."""

    identity: str
    row: int


class StoredSpace(Space):
    """The space of stored recipes with another default; it looks recipes up, since building them takes long."""

    def __init__(self, curves: Curves, default: int) -> None:
        super().__init__(curves.space.entries)
        rows = {recipe.identity: row for row, recipe in enumerate(curves.recipes)}
        self._stored: dict[tuple[object, ...], StoredRecipe] = {}
        self._point_by_row: dict[int, Point] = {}
        for point in grid_points(curves.space):
            identity = curves.space.recipe(point).identity
            self._stored[tuple(point.items())] = StoredRecipe(identity, rows[identity])
            self._point_by_row.setdefault(rows[identity], point)
        self._default = default

    def default(self) -> Point:
        """Return the point of the default's row."""
        return self._point_by_row[self._default]

    def recipe(self, point: Mapping[str, Any]) -> Recipe:
        """Return the stored recipe of a point."""
        return cast(Recipe, self._stored[tuple(point.items())])


def quantile_default(curves: Curves, share: float) -> int:
    """Return the recipe that is truly better than `share` of the recipes."""
    means = curves.correct.mean(axis=(1, 3)).max(axis=1)
    return int(np.argsort(means, kind="stable")[min(int(share * len(means)), len(means) - 1)])


def shipped_default(curves: Curves) -> int:
    """Return the recipe that the space's own default gives."""
    identity = curves.space.recipe(curves.space.default()).identity
    return [recipe.identity for recipe in curves.recipes].index(identity)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """The search of a scenario: `searcher` is random or tpe, `scheduler` none or asha."""

    searcher: str
    scheduler: str
    trials: int


DrawnPoints = dict[int, tuple[list[Point], Iterator[Point]]]
"""For each trial number the points that a random search has drawn, and the draws that follow."""


class RepeatedDraws(RandomSearcher):
    """Random search that reads its draws from `drawn`, so that the searches with other defaults do not draw again."""

    def __init__(self, space: Space, *, seed: int, drawn: DrawnPoints) -> None:
        super().__init__(space, seed=seed)
        self._drawn = drawn

    def _draws(self, number: int) -> Iterator[Point]:
        if number not in self._drawn:
            self._drawn[number] = [], iter(super()._draws(number))
        points, following = self._drawn[number]
        yield from points
        for point in following:
            points.append(point)
            yield point


def search(
    space: StoredSpace, values: Floats, settings: SearchSettings, *, seed: int, drawn: DrawnPoints
) -> SearchResult:
    """Run a sweep whose trials' accuracies are `values` (recipes, epochs).

    drawn: draws of this sweep's random searches with other defaults; those of this search are added.
    """
    searcher: Searcher = (
        TpeSearcher(space, seed=seed, goal=Goal.MAXIMIZE)
        if settings.searcher == "tpe"
        else RepeatedDraws(space, seed=seed, drawn=drawn)
    )
    scheduler = _build_scheduler(settings.scheduler, values.shape[1], seed)
    ended = np.array(sorted(_run(searcher, scheduler, values, settings.trials)))
    numbers, recipes, trained = ended.T
    epochs = np.array([values[row, :count].argmax() for row, count in zip(recipes, trained, strict=True)])
    scores = values[recipes, epochs]
    order = np.argsort(-scores, kind="stable")
    return SearchResult(recipes=recipes[order], numbers=numbers[order], scores=scores[order], epochs=epochs[order])


def _build_scheduler(name: str, epochs: int, seed: int) -> Scheduler:
    if name == "none":
        return NoStopping(epochs=epochs)
    rungs = rungs_below(epochs, grace_epochs=1, reduction_factor=3)
    brackets = Brackets(count=1, rungs=rungs, reduction_factor=3, seed=seed)
    return Asha(epochs=epochs, brackets=brackets, goal=Goal.MAXIMIZE)


def _run(searcher: Searcher, scheduler: Scheduler, values: Floats, trials: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, recipe and epochs of each trial; epochs take equally long, lanes start in turn."""
    reports, milestones = Reports(), scheduler.milestones
    waiting: list[tuple[float, int, int, int]] = []
    started = 0

    def start(now: float) -> None:
        nonlocal started
        proposal = searcher.propose(started) if started < trials else None
        if proposal is not None:
            heapq.heappush(waiting, (now + milestones[0], started, cast(StoredRecipe, proposal.recipe).row, 0))
            started += 1

    for lane in range(LANES):
        start(lane / LANES)
    while waiting:
        now, number, row, step = heapq.heappop(waiting)
        epoch = milestones[step]
        report = Report(number=number, epoch=epoch, value=float(values[row, epoch - 1]))
        stops = scheduler.stops(reports, report)
        reports.add(report)
        if not stops and step + 1 < len(milestones):
            heapq.heappush(waiting, (now + milestones[step + 1] - epoch, number, row, step + 1))
            continue
        seen = [float(value) for value in values[row, :epoch]]
        searcher.tell(number, values=seen, state=TrialState.PRUNED if stops else TrialState.COMPLETED)
        yield number, row, epoch
        start(now)
