"""Searchers, which propose points of a space and learn how their trials ended."""

from __future__ import annotations

import hashlib
import math
import random
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState as OptunaState

from search_spaces import (
    BACKBONES,
    Choice,
    Domain,
    Entry,
    Fixed,
    Goal,
    Point,
    Recipe,
    Space,
    SweepSpec,
    grid_points,
    grid_size,
    sample,
)
from service.ledgers import TrialState

DRAWS_BEFORE_GIVING_UP = 200


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A point in the searcher's spelling and the recipe it resolves to."""

    point: Mapping[str, object]
    recipe: Recipe


class Searcher(ABC):
    """Proposes recipes one at a time.

    Contract: `propose(number)` is called once for each trial number, in the order of `ordered`, and None means that
    the search is exhausted. `tell` is called once for each proposed number, when its trial has ended. One thread calls
    both. The same calls in the same order give the same proposals. A searcher of spaces proposes no recipe twice.
    """

    exhausted: str | None = None
    """The reason for which there were fewer proposals than trials; None if a user need not know."""

    def ordered(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return the order in which to ask for these trials; numbers: from the lowest on."""
        return numbers

    @abstractmethod
    def propose(self, number: int) -> Proposal | None:
        """Return a proposal for the trial of this number; None if the search is exhausted."""

    @abstractmethod
    def tell(self, number: int, *, values: Sequence[float], state: TrialState) -> None:
        """Take note of how a trial ended; values: the metric after each epoch, possibly none."""


class PointsSearcher(Searcher):
    """The recipes of an explicit list, in order.

    longest_first: in the order of how much they train (Graham, "Bounds on multiprocessing timing anomalies", SIAM J.
    Appl. Math. 1969, section on lists by decreasing time), so that no long trial is left alone at the end. Those that
    train as much and see the same activations follow each other, so that a small cache holds them for all.
    """

    def __init__(self, recipes: Sequence[Recipe], *, longest_first: bool = False) -> None:
        self._recipes = tuple(recipes)
        self._longest_first = longest_first

    def ordered(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return the order of the list, or that of the longest first."""
        if not self._longest_first:
            return numbers
        recipes, first = self._recipes, dict[object, int]()
        for number in numbers:
            first.setdefault(recipes[number].shared_activations, number)
        return sorted(numbers, key=lambda at: (-_thawed_work(recipes[at]), first[recipes[at].shared_activations]))

    def propose(self, number: int) -> Proposal | None:
        """Return the recipe of this number in the list."""
        if number >= len(self._recipes):
            return None
        recipe = self._recipes[number]
        return Proposal(point=dict(recipe.flat()), recipe=recipe)

    def tell(self, number: int, *, values: Sequence[float], state: TrialState) -> None:
        """Do nothing: a fixed list learns nothing."""


class SpaceSearcher(Searcher):
    """Trial 0 is the default recipe; after it each draw that was not proposed before."""

    used_up: str | None = f"no new recipe among {DRAWS_BEFORE_GIVING_UP} draws: the space seems exhausted"
    """The reason that is given when there are no further draws."""

    def __init__(self, space: Space, *, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._proposed: set[str] = set()

    def propose(self, number: int) -> Proposal | None:
        """Return the default recipe for number 0, else a recipe that was not proposed before."""
        draws: Iterable[Point] = [self._space.default()] if number == 0 else self._draws(number)
        for point in draws:
            recipe = self._space.recipe(point)
            if recipe.identity not in self._proposed:
                self._proposed.add(recipe.identity)
                self._accepted(number, point)
                return Proposal(point=point, recipe=recipe)
        self.exhausted = self.used_up
        return None

    def _draws(self, number: int) -> Iterator[Point]:
        """Return points to try in turn, at most `DRAWS_BEFORE_GIVING_UP`."""
        rng = random.Random(_subseed(self._seed, number))
        return (sample(self._space, rng) for _ in range(DRAWS_BEFORE_GIVING_UP))

    def _accepted(self, number: int, point: Point) -> None:
        """Called with the point that becomes trial `number`."""


class RandomSearcher(SpaceSearcher):
    """Independent draws (Bergstra & Bengio, JMLR 2012), each from the sweep's seed and the trial's number."""

    def tell(self, number: int, *, values: Sequence[float], state: TrialState) -> None:
        """Independent draws learn nothing."""


class GridSearcher(SpaceSearcher):
    """All recipes of a space without continuous ranges: the default, then the others in the space's order.

    If there are fewer trials than recipes, recipes are drawn evenly from the whole grid by the seed, so that no value
    of the first names is favoured.
    """

    used_up = None

    def __init__(self, space: Space, *, seed: int, trials: int) -> None:
        super().__init__(space, seed=seed)
        size = space.size()
        assert size is not None, "a continuous range has no grid"
        sampled = trials < grid_size(space)
        self._left = map(space.at, _permuted(size, _subseed(seed, 0))) if sampled else grid_points(space)

    def _draws(self, _number: int) -> Iterator[Point]:
        """Return the points that are left, for any number."""
        return self._left

    def tell(self, number: int, *, values: Sequence[float], state: TrialState) -> None:
        """Do nothing: a fixed list learns nothing."""


class TpeSearcher(SpaceSearcher):
    """Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), joint within each branch.

    The sampler of each trial is seeded from the sweep's seed and the trial's number, so that a proposal depends
    only on what was proposed and told before it.
    """

    def __init__(self, space: Space, *, seed: int, goal: Goal, startup: int = 8) -> None:
        super().__init__(space, seed=seed)
        self._startup = startup
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(direction=goal.value)
        self._open: dict[int, optuna.Trial] = {}
        self._goal = goal
        self._drawn: tuple[Point, optuna.Trial] | None = None

    def _draws(self, number: int) -> Iterator[Point]:
        self._study.sampler = self._sampler(number)
        trial = self._study.ask()
        self._drawn = self._space.walk(lambda entry: _suggest(trial, entry)), trial
        yield self._drawn[0]
        yield from super()._draws(number)

    def _accepted(self, number: int, point: Point) -> None:
        drawn, self._drawn = self._drawn, None
        if drawn is not None and drawn[0] is point:
            self._open[number] = drawn[1]
            return
        if drawn is not None:
            self._study.tell(drawn[1], state=OptunaState.FAIL)
        self._open[number] = self._enqueue(point)

    def _enqueue(self, point: Point) -> optuna.Trial:
        """Let Optuna know a point that it did not draw itself."""
        active = [e for e in self._space.entries if e.key in point and not isinstance(e.domain, Fixed)]
        self._study.enqueue_trial({entry.key: _outward(entry.domain, point[entry.key]) for entry in active})
        trial = self._study.ask()
        for entry in active:
            _suggest(trial, entry)
        return trial

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(
                seed=_subseed(self._seed, number) % 2**32,
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=self._startup,
            )

    def tell(self, number: int, *, values: Sequence[float], state: TrialState) -> None:
        """Tell Optuna the values and the end of the trial."""
        trial = self._open.pop(number)
        for step, value in enumerate(values, start=1):
            trial.report(value, step)
        if state is TrialState.COMPLETED and values:
            self._study.tell(trial, self._goal.best(values))
        elif state is TrialState.PRUNED and values:
            self._study.tell(trial, state=OptunaState.PRUNED)
        else:
            self._study.tell(trial, state=OptunaState.FAIL)


def build_searcher(spec: SweepSpec, *, trials: int | None = None) -> Searcher:
    """The searcher that a sweep file asks for; trials: how many it was to have when it began, if not as many as now."""
    seed = spec.search.seed
    if spec.search.algorithm == "points":
        return PointsSearcher(spec.points, longest_first=_runs_whole(spec))
    if spec.search.algorithm == "random":
        return RandomSearcher(spec.space, seed=seed)
    if spec.search.algorithm == "grid":
        return GridSearcher(spec.space, seed=seed, trials=trials or spec.budget.trials)
    return TpeSearcher(spec.space, seed=seed, goal=spec.metric.goal)


def _runs_whole(spec: SweepSpec) -> bool:
    """Return whether every trial is to run to its end, so that only the time depends on their order."""
    limits = (spec.budget.wall, spec.budget.gpu_hours, spec.budget.max_failed)
    return spec.scheduler.type == "none" and all(limit is None for limit in limits)


def _thawed_work(recipe: Recipe) -> float:
    """Multiply-adds an image of the stages that it trains, all stages taken as equal; 0 of a backbone of its own."""
    info = BACKBONES.get(recipe.backbone)
    return 0.0 if info is None else info.multiply_adds * recipe.passes * (1 - recipe.freeze_depth / info.stages)


def _subseed(seed: int, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"search/{seed}/{number}".encode()).digest()[:8], "big")


def _permuted(size: int, seed: int) -> Iterator[int]:
    """The numbers below `size` in a random order, without a list of them all."""
    rng, drawn = random.Random(seed), set[int]()
    while len(drawn) < size:
        index = rng.randrange(size)
        if index not in drawn:
            drawn.add(index)
            yield index


def _suggest(trial: optuna.Trial, entry: Entry) -> Any:
    """A value from Optuna; lists go by index, so that any value may stand in them."""
    key, domain = entry.key, entry.domain
    if isinstance(domain, Fixed):
        return domain.value
    if isinstance(domain, Choice):
        return domain.values[trial.suggest_categorical(key, range(len(domain.values)))]
    step = domain.step or (1 if domain.integer else None)
    last = domain.max if step is None else domain.min + math.floor((domain.max - domain.min) / step + 1e-9) * step
    if domain.integer:
        return trial.suggest_int(key, int(domain.min), int(last), log=domain.log, step=int(step or 1))
    return trial.suggest_float(key, domain.min, last, log=domain.log, step=step)


def _outward(domain: Domain, value: Any) -> Any:
    return domain.values.index(value) if isinstance(domain, Choice) else value
