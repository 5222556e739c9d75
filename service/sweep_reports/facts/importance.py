"""Importance: which hyperparameters decide if a trial is among the best, with the uncertainty of saying so."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.ledgers import Sweep
from service.reports import Leaderboard
from service.sweep_reports.facts.base import Part, Section, decimals, joined, score
from service.sweep_reports.facts.parameters import Parameter, find_parameters
from service.sweep_reports.facts.rows import SweepRows
from service.sweep_reports.facts.slices import covers_most, good_range
from service.sweep_reports.statistics import GridParameter, grid_indices, is_best, measure_importance, spearman

__all__ = ["NEEDED_TRIALS", "Importance", "ParameterImportance", "rank_hyperparameters", "read_importance"]

NEEDED_TRIALS: Final = 20
"""Fewest trials: PED-ANOVA wants 5 among the best (Optuna's documentation), and these are at most the best quarter."""

_BEST: Final = 5
_SMALLEST_QUANTILE: Final = 0.1
"""Optuna's default."""
_RESAMPLES: Final = 200
_BRANCH = re.compile(r"\[[^]]*\]")
"""The branch in a parameter's key, such as `[adamw]` in `optimizer[adamw].lr`."""
_CLEAR_RANK: Final = 1.96
"""Standard errors from which a rank correlation counts as a direction."""


class ParameterImportance(Part):
    """The importance of a hyperparameter."""

    key: str
    label: str
    trials: int
    """Number of trials that have it."""
    share: float
    """Part of the sum of all importances, from 0 to 1."""
    low: float
    high: float
    """95 % interval of the share, from trials drawn again with repetition."""
    is_clear: bool
    """True if it is above all but 5 % of the importances that the same parameter has among shuffled values."""
    direction: str
    """The better values, in words."""


class Importance(Section):
    """The importance of all hyperparameters by PED-ANOVA."""

    trials: int
    """Number of trials that count: completed or pruned ones with a value."""
    needed: int = NEEDED_TRIALS
    quantile: float | None = None
    """Part of the trials that counts as the best."""
    parameters: tuple[ParameterImportance, ...] = ()
    """The most important first."""


def read_importance(rows: SweepRows, parameters: Sequence[Parameter]) -> Importance:
    """Measure the importance of each parameter for being among the best trials."""
    trials = rows.measured
    if len(trials) < NEEDED_TRIALS:
        missing = (
            f"The importance of a hyperparameter takes at least {NEEDED_TRIALS} trials with a value; this sweep has "
            f"{len(trials)}. It compares the best trials with all, and fewer than {_BEST} best ones say nothing."
        )
        return Importance(sentence=missing, is_shown=False, trials=len(trials))
    if not parameters:
        return Importance(sentence="All trials have the same values.", is_shown=False, trials=len(trials))
    grids, losses, quantile = _read_grids(rows, parameters)
    raw = measure_importance(grids, is_best(losses, quantile))
    if raw.sum() <= 0:
        return Importance(sentence="All trials have the same value.", is_shown=False, trials=len(trials))
    shares = raw / raw.sum()
    low, high = _interval(grids, losses, quantile)
    chance = _chance(grids, losses, quantile)
    measured = [
        ParameterImportance(
            key=parameter.key,
            label=parameter.label,
            trials=len(parameter.trials),
            share=decimals(shares[index]),
            low=decimals(min(low[index], shares[index])),
            high=decimals(max(high[index], shares[index])),
            is_clear=bool(raw[index] > chance[index]),
            direction=_direction(rows, parameter),
        )
        for index, parameter in enumerate(parameters)
    ]
    measured.sort(key=lambda each: -each.share)
    return Importance(
        sentence=_sentence(measured, len(trials), quantile),
        trials=len(trials),
        quantile=decimals(quantile),
        parameters=measured,
    )


def rank_hyperparameters(sweep: Sweep, board: Leaderboard) -> list[str]:
    """Return the names of the hyperparameters in the order of `read_importance`, such as `optimizer.lr`.

    A name that several branches have comes where its first branch comes. Too few trials say nothing: the list is empty.
    """
    rows = SweepRows(sweep=sweep, board=board, retrainings=(), epochs={}, attempts={})
    parameters = find_parameters(rows)
    if len(rows.measured) < NEEDED_TRIALS or not parameters:
        return []
    grids, losses, quantile = _read_grids(rows, parameters)
    raw = measure_importance(grids, is_best(losses, quantile))
    if raw.sum() <= 0:
        return []
    order = sorted(range(len(parameters)), key=lambda index: -raw[index])
    return list(dict.fromkeys(_BRANCH.sub("", parameters[index].key) for index in order))


def _read_grids(
    rows: SweepRows, parameters: Sequence[Parameter]
) -> tuple[list[GridParameter], NDArray[np.float64], float]:
    """Return the values of each parameter on its grid, the losses of the trials, and the part that counts as best."""
    trials = rows.measured
    losses = np.array([-rows.goal.sign * rows.value(trial) for trial in trials])
    places = {trial.id: index for index, trial in enumerate(trials)}
    return [_grid(parameter, places) for parameter in parameters], losses, max(_SMALLEST_QUANTILE, _BEST / len(trials))


def _grid(parameter: Parameter, places: dict[str, int]) -> GridParameter:
    indices = np.full(len(places), -1, dtype=np.int64)
    having = [places[trial.id] for trial in parameter.trials]
    if parameter.choices is not None:
        indices[having] = np.array(parameter.values, dtype=np.int64)
        return GridParameter(len(parameter.choices), indices, is_number=False)
    values = np.array(parameter.values)
    size, indices[having] = grid_indices(
        np.log(values) if parameter.is_log else values,
        low=parameter.low,
        high=parameter.high,
        step=parameter.step,
        is_log=parameter.is_log,
        is_integer=parameter.is_integer,
    )
    return GridParameter(size, indices, is_number=True)


def _interval(
    grids: Sequence[GridParameter], losses: NDArray[np.float64], quantile: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the 2.5 % and 97.5 % percentiles of the shares (Efron & Tibshirani 1993, chapter 13)."""
    random = np.random.default_rng(0)
    shares = []
    for _ in range(_RESAMPLES):
        rows = random.integers(0, losses.size, losses.size)
        drawn = [GridParameter(grid.size, grid.indices[rows], grid.is_number) for grid in grids]
        raw = measure_importance(drawn, is_best(losses[rows], quantile))
        if raw.sum() > 0:
            shares.append(raw / raw.sum())
    low, high = np.percentile(np.array(shares or [np.zeros(len(grids))]), [2.5, 97.5], axis=0)
    return low, high


def _chance(grids: Sequence[GridParameter], losses: NDArray[np.float64], quantile: float) -> NDArray[np.float64]:
    """Return the importance that each parameter exceeds in 5 % of all cases if values are shuffled among trials."""
    random = np.random.default_rng(1)
    drawn = [measure_importance(grids, is_best(random.permutation(losses), quantile)) for _ in range(_RESAMPLES)]
    limit: NDArray[np.float64] = np.percentile(np.array(drawn), 95, axis=0)
    return limit


def _direction(rows: SweepRows, parameter: Parameter) -> str:
    """Return which values are better, in words."""
    values = [rows.value(trial) for trial in parameter.trials]
    if parameter.choices is not None:
        medians = {
            position: float(np.median([v for v, p in zip(values, parameter.values, strict=True) if p == position]))
            for position in set(parameter.values)
        }
        best = min(medians, key=lambda position: (rows.goal.sort_key(medians[position]), position))
        return f"best with {parameter.written(best)} (median {score(medians[best])})"
    rank = rows.goal.sign * spearman(parameter.places, np.array(values))
    parts = []
    if len(values) >= 4 and abs(rank) * math.sqrt(len(values) - 1) >= _CLEAR_RANK:
        parts.append(f"{'higher' if rank > 0 else 'lower'} values are better on the whole")
    good = good_range(rows, parameter)
    if good is not None and not covers_most(parameter, good):
        parts.append(f"best from {parameter.written(good[0])} to {parameter.written(good[1])}")
    return ", ".join(parts) or "no values are clearly better"


def _sentence(measured: Sequence[ParameterImportance], trials: int, quantile: float) -> str:
    first = measured[0]
    clear = [each.label for each in measured if each.is_clear]
    basis = f"Among {trials} trials, of which the best {quantile:.0%} count as good, "
    if not clear:
        return f"{basis}no hyperparameter is told apart from chance; {first.label} comes first with {first.share:.0%}."
    rest = f" Told apart from chance: {joined(clear)}." if clear != [first.label] else ""
    verb = "decides most" if first.is_clear else "comes first"
    unsure = "" if first.is_clear else ", though not told apart from chance"
    return (
        f"{basis}{first.label} {verb}, with {first.share:.0%} of the importance "
        f"({first.low:.0%} to {first.high:.0%}){unsure}: {first.direction}.{rest}"
    )
