"""Slices: the metric against each hyperparameter alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from service.formats import counted
from service.ledgers import Trial
from service.sweep_reports.facts.base import Part, Section, decimals, joined, named, score
from service.sweep_reports.facts.parameters import Parameter
from service.sweep_reports.facts.rows import SweepRows

__all__ = ["ChoiceSummary", "Slice", "Slices", "covers_most", "good_range", "read_slices"]

_GOOD_SHARE = 0.2
_WIDE = 0.6
"""Part of the range from which the best trials count as spread over it: uniform ones cover 0.8."""
_FEWEST_FOR_RANGE = 10
"""A range of the best fifth says something from two of at least ten trials on."""


class ChoiceSummary(Part):
    """The trials with one choice of a list."""

    choice: str
    trials: int
    median: float
    best: float


class Slice(Part):
    """The metric against one hyperparameter; the points are in the report's `trials`."""

    key: str
    label: str
    is_number: bool
    is_log: bool
    trials: int
    choices: tuple[ChoiceSummary, ...] = ()
    """Choices of a list, in its order; those without a trial are left out."""
    good_low: float | None = None
    good_high: float | None = None
    """Range of the middle four fifths of the values in the best fifth of the trials; null with few trials."""
    is_spread: bool = False
    """True if that range covers most of the parameter's range, so that no value stands out."""
    sentence: str


class Slices(Section):
    """The metric against each hyperparameter."""

    slices: tuple[Slice, ...] = ()


def read_slices(rows: SweepRows, parameters: Sequence[Parameter], order: Sequence[str]) -> Slices:
    """Return a slice for each parameter; order: keys of the most important ones first, others follow."""
    places = {key: place for place, key in enumerate(order)}
    ordered = sorted(parameters, key=lambda parameter: places.get(parameter.key, len(places)))
    slices = [_slice(rows, parameter) for parameter in ordered]
    if not slices:
        why = "no trial has a value" if not rows.measured else "all trials with a value have the same ones"
        return Slices(sentence=f"No hyperparameter can be compared: {why}.", is_shown=False)
    order_text = ", the most important first" if order else ", in the order of the sweep file"
    text = f"{len(slices)} hyperparameters differ between the trials with a value{order_text}."
    if len(slices) == 1:
        text = f"Only {slices[0].label} differs between the trials with a value."
    return Slices(sentence=text, slices=slices)


def _slice(rows: SweepRows, parameter: Parameter) -> Slice:
    choices = _summarize_choices(rows, parameter)
    good = good_range(rows, parameter)
    return Slice(
        key=parameter.key,
        label=parameter.label,
        is_number=parameter.is_number,
        is_log=parameter.is_log,
        trials=len(parameter.trials),
        choices=choices,
        good_low=good and decimals(good[0], 12),
        good_high=good and decimals(good[1], 12),
        is_spread=good is not None and covers_most(parameter, good),
        sentence=_sentence(rows, parameter, choices, good),
    )


def _summarize_choices(rows: SweepRows, parameter: Parameter) -> list[ChoiceSummary]:
    summaries = []
    for position, name in enumerate(parameter.choice_names):
        values = [rows.value(t) for t, p in zip(parameter.trials, parameter.values, strict=True) if p == position]
        if values:
            median, best = decimals(float(np.median(values))), rows.goal.best(values)
            summaries.append(ChoiceSummary(choice=name, trials=len(values), median=median, best=best))
    return summaries


def good_range(rows: SweepRows, parameter: Parameter) -> tuple[float, float] | None:
    """Return the middle four fifths of a number's values in the best fifth of trials; None for lists or few trials."""
    if not parameter.is_number or len(parameter.trials) < _FEWEST_FOR_RANGE:
        return None
    pairs: list[tuple[Trial, float]] = list(zip(parameter.trials, parameter.values, strict=True))
    pairs.sort(key=lambda pair: (rows.goal.sort_key(rows.value(pair[0])), pair[0].number))
    good = sorted(value for _, value in pairs[: math.ceil(_GOOD_SHARE * len(pairs))])
    spare = len(good) // 10
    return good[spare], good[-1 - spare]


def covers_most(parameter: Parameter, good: tuple[float, float]) -> bool:
    """Return whether `good` covers most of a parameter's range, on its scale, so that no value stands out."""
    low, high = parameter.low, parameter.high
    if parameter.is_log:
        return math.log(good[1] / good[0]) / math.log(high / low) > _WIDE
    return (good[1] - good[0]) / (high - low) > _WIDE


def _sentence(
    rows: SweepRows,
    parameter: Parameter,
    choices: Sequence[ChoiceSummary],
    good: tuple[float, float] | None,
) -> str:
    if choices:
        best = min(choices, key=lambda each: (rows.goal.sort_key(each.median), -each.trials))
        equal = [each.choice for each in choices if each is not best and score(each.median) == score(best.median)]
        others = [
            f"{each.choice} has {score(each.median)}"
            for each in choices
            if each is not best and each.choice not in equal
        ]
        trials = counted(best.trials, "trial")
        text = f"{parameter.label} {best.choice} has the best median, {score(best.median)} over {trials}"
        text += f", and so {'has' if len(equal) == 1 else 'have'} {joined(equal)}" if equal else ""
        shown = f"{joined(others[:3])}{' and others' * (len(others) > 3)}"
        return f"{text}; {shown}." if others else f"{text}."
    if good is not None and covers_most(parameter, good):
        text = f"The best fifth of {len(parameter.trials)} trials is spread over most of the range of {parameter.label}"
        return f"{text}: no value stands out."
    if good is not None:
        spread = f"from {parameter.label} {parameter.written(good[0])} to {parameter.written(good[1])}"
        if good[0] == good[1]:
            spread = f"at {parameter.label} {parameter.written(good[0])}"
        return f"The best fifth of {len(parameter.trials)} trials lies {spread}."
    pairs = sorted(
        zip(parameter.trials, parameter.values, strict=True),
        key=lambda pair: (rows.goal.sort_key(rows.value(pair[0])), pair[0].number),
    )
    leader, value = pairs[0]
    ties = sum(rows.value(trial) == rows.value(leader) for trial, _ in pairs)
    if ties > 1:
        first = f"the first of them, {named(leader.id)}, has {parameter.label} {parameter.written(value)}"
        return f"{ties} of {len(pairs)} trials are equally good, and the best; {first}."
    return f"The best of {len(pairs)} trials has {parameter.label} {parameter.written(value)}."
