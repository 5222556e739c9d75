"""Parameters: the hyperparameters that a sweep drew, each with its domain and the trials that have it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces import Choice, Entry, Fixed, Range
from search_spaces.recipes import same
from service.ledgers import Trial
from service.reports import heading
from service.sweep_reports.facts.rows import SweepRows

__all__ = ["Parameter", "find_parameters", "written"]

_FEW_VALUES = 6
"""Numbers of a sweep without a readable space count as choices up to this many different ones."""


@dataclass(frozen=True)
class Parameter:
    """A drawn hyperparameter.

    key: as points have it, such as `optimizer[adamw].lr`. label: short, and different for each. choices: the values of
    a list in order; None for a range of numbers. low, high, is_log, step: of a range. trials: those that have a value,
    by number. values: theirs; for choices, positions in `choices`.
    """

    key: str
    label: str
    choices: tuple[Any, ...] | None
    trials: tuple[Trial, ...]
    values: tuple[float, ...]
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    step: float | None = None
    is_integer: bool = False

    @property
    def is_number(self) -> bool:
        """True for a range of numbers, False for a list."""
        return self.choices is None

    @cached_property
    def choice_names(self) -> list[str]:
        """The choices as text."""
        return [written(value) for value in self.choices or ()]

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """Values on the scale from which they were drawn: logarithms of a log-scaled range."""
        values = np.array(self.values, dtype=float)
        return np.log10(values) if self.is_log else values

    def written(self, value: float) -> str:
        """Return a value as text."""
        if self.choices is not None:
            return self.choice_names[int(value)]
        return f"{value:.3g}"


def find_parameters(rows: SweepRows) -> list[Parameter]:
    """Return the parameters that differ between measured trials, in the order of the sweep file."""
    spec = rows.spec
    if spec is not None and not spec.points and any(trial.point for trial in rows.measured):
        parameters = [_from_entry(entry, rows.measured) for entry in spec.space.entries]
    else:
        parameters = [_from_recipes(name, rows.measured) for name in rows.sweep.drawn]
    return _with_labels([parameter for parameter in parameters if parameter is not None and _varies(parameter)])


def _varies(parameter: Parameter) -> bool:
    return len(set(parameter.values)) > 1


def _from_entry(entry: Entry, trials: Sequence[Trial]) -> Parameter | None:
    domain = entry.domain
    if isinstance(domain, Fixed):
        return None
    having = [trial for trial in trials if entry.key in trial.point and domain.contains(trial.point[entry.key])]
    drawn = [trial.point[entry.key] for trial in having]
    if isinstance(domain, Choice):
        values = [_position(domain.values, value) for value in drawn]
        return Parameter(entry.key, "", domain.values, tuple(having), tuple(values))
    assert isinstance(domain, Range)
    return Parameter(
        entry.key,
        "",
        None,
        tuple(having),
        tuple(float(value) for value in drawn),
        low=domain.min,
        high=domain.max,
        is_log=domain.log,
        step=domain.step or (1 if domain.integer else None),
        is_integer=domain.integer,
    )


def _position(choices: Sequence[Any], value: Any) -> float:
    return float(next(index for index, choice in enumerate(choices) if same(choice, value)))


def _from_recipes(name: str, trials: Sequence[Trial]) -> Parameter | None:
    """Return a parameter by the values that recipes have, for a list of points or a space that cannot be read."""
    having = [trial for trial in trials if name in trial.recipe]
    drawn = [trial.recipe[name] for trial in having]
    numbers = [value for value in drawn if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(drawn) and len(set(numbers)) > _FEW_VALUES:
        low, high = min(numbers), max(numbers)
        is_log = low > 0 and high / low >= 30  # wider than a decade and a half: drawn by the logarithm
        return Parameter(name, "", None, tuple(having), tuple(map(float, numbers)), low=low, high=high, is_log=is_log)
    choices: list[Any] = []
    for value in drawn:
        if not any(same(value, choice) for choice in choices):
            choices.append(value)
    if all(isinstance(choice, int | float) for choice in choices):
        choices.sort()
    return Parameter(name, "", tuple(choices), tuple(having), tuple(_position(choices, value) for value in drawn))


def _with_labels(parameters: Sequence[Parameter]) -> list[Parameter]:
    """Give each parameter the shortest label that no other has."""
    labels = [_label(parameter.key) for parameter in parameters]
    return [
        Parameter(**{**_fields(parameter), "label": label if labels.count(label) == 1 else parameter.key})
        for parameter, label in zip(parameters, labels, strict=True)
    ]


def _fields(parameter: Parameter) -> dict[str, Any]:
    return {name: getattr(parameter, name) for name in Parameter.__dataclass_fields__}


def _label(key: str) -> str:
    """Return `lr (adamw)` for `optimizer[adamw].lr`, and the short heading of other keys."""
    branched = re.fullmatch(r"(.*)\[([^\]]*)\]\.?(.*)", key)
    if branched is None:
        return heading(key)
    group, branch, rest = branched.groups()
    return f"{heading(rest) or rest or heading(group)} ({branch})"


def written(value: Any) -> str:
    """Return a drawn value as text."""
    if isinstance(value, float) and not value.is_integer() and math.isfinite(value):
        return f"{value:.3g}"
    return str(value)
