"""Search by the tree-structured Parzen estimator of Optuna."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from search_spaces import Choice, Domain, Entry, Fixed, Goal, Point, Range, Space
from service.ledgers import TrialState
from service.searchers.base import SpaceSearcher, subseed
from service.warm_starts import PastTrial, Prior

__all__ = ["TpeSearcher"]

NO_PRIOR: Final = Prior()
_CONSTRAINT: Final = "constraints:limits"
"""The name under which Optuna keeps what `set_constraint` sets."""


class TpeSearcher(SpaceSearcher):
    """Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), joint within each branch.

    The sampler of each trial is seeded from the sweep's seed and the trial's number, so that a proposal depends
    only on what was proposed and told before it. The points `first` are told to it like its own.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        goal: Goal,
        startup: int = 8,
        first: Sequence[Point] = (),
        prior: Prior = NO_PRIOR,
    ) -> None:
        super().__init__(space, seed=seed, first=first, then=prior.first)
        self._startup = startup
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(direction=goal.value)
        self._open: dict[int, optuna.Trial] = {}
        self._goal = goal
        self._drawn: tuple[Point, optuna.Trial] | None = None
        for past in prior.results:
            self._study.add_trial(self._past_trial(past))

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

    def _past_trial(self, past: PastTrial) -> FrozenTrial:
        """Return an earlier sweep's trial for Optuna; one that was stopped early counts up to its last epoch."""
        drawn = [entry for entry in self._space.entries if entry.key in past.point]
        domains = {entry.key: entry.domain for entry in drawn if not isinstance(entry.domain, Fixed)}
        is_whole = past.state is TrialState.COMPLETED
        return optuna.trial.create_trial(
            state=OptunaState.COMPLETE if is_whole else OptunaState.PRUNED,
            value=past.value if is_whole else None,
            params={key: _outward(domain, past.point[key]) for key, domain in domains.items()},
            distributions={key: _distribution(domain) for key, domain in domains.items()},
            intermediate_values={past.epochs: past.last},
            system_attrs={} if past.keeps_limits else {_CONSTRAINT: 1.0},
        )

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(
                seed=subseed(self._seed, number) % 2**32,
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=self._startup,
            )

    def tell(self, number: int, *, values: Sequence[float], state: TrialState, keeps_limits: bool = True) -> None:
        """Tell Optuna the values and the end of the trial.

        A trial that breaks a limit counts as worse than all that keep them (Optuna's way with constraints,
        https://arxiv.org/abs/2606.09889, after c-TPE, https://arxiv.org/abs/2211.14411).
        """
        trial = self._open.pop(number)
        if not keeps_limits:
            trial.set_constraint("limits", 1.0)
        for step, value in enumerate(values, start=1):
            trial.report(value, step)
        if state is TrialState.COMPLETED and values:
            self._study.tell(trial, self._goal.best(values))
        elif state is TrialState.PRUNED and values:
            self._study.tell(trial, state=OptunaState.PRUNED)
        else:
            self._study.tell(trial, state=OptunaState.FAIL)


def _suggest(trial: optuna.Trial, entry: Entry) -> Any:
    """Return a value from Optuna; a list is drawn from by index, so that it may hold any value."""
    key, domain = entry.key, entry.domain
    if isinstance(domain, Fixed):
        return domain.value
    if isinstance(domain, Choice):
        return domain.values[trial.suggest_categorical(key, range(len(domain.values)))]
    step, last = _step_and_last(domain)
    if domain.integer:
        return trial.suggest_int(key, int(domain.min), int(last), log=domain.log, step=int(step or 1))
    return trial.suggest_float(key, domain.min, last, log=domain.log, step=step)


def _distribution(domain: Choice | Range) -> BaseDistribution:
    """Return the distribution from which `_suggest` draws."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(range(len(domain.values)))
    step, last = _step_and_last(domain)
    if domain.integer:
        return IntDistribution(int(domain.min), int(last), log=domain.log, step=int(step or 1))
    return FloatDistribution(domain.min, last, log=domain.log, step=step)


def _step_and_last(domain: Range) -> tuple[float | None, float]:
    """Return the step of a range, None if it is continuous, and its last value."""
    step = domain.step or (1 if domain.integer else None)
    last = domain.max if step is None else domain.min + math.floor((domain.max - domain.min) / step + 1e-9) * step
    return step, last


def _outward(domain: Domain, value: Any) -> Any:
    return domain.values.index(value) if isinstance(domain, Choice) else value
