"""The value over the two most important numbers, smoothed between the trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.sweep_reports.facts.base import Part, Section, decimals, score
from service.sweep_reports.facts.parameters import Parameter
from service.sweep_reports.facts.rows import SweepRows

__all__ = ["Contour", "ContourAxis", "read_contour"]

NEEDED_TRIALS: Final = 12
COLUMNS: Final = 28
LINES: Final = 18
_LEAST_WEIGHT: Final = 0.35
"""A field whose trials weigh less than this together, where a trial at the same place weighs 1, stays empty."""


class ContourAxis(Part):
    """A hyperparameter of the two."""

    key: str
    label: str
    is_log: bool
    low: float
    high: float


class Contour(Section):
    """The smoothed value over two hyperparameters."""

    x: ContourAxis | None = None
    y: ContourAxis | None = None
    trials: int = 0
    """Number of trials that have both."""
    cells: tuple[list[float | None], ...] = ()
    """Smoothed values by y and x from low to high, in equal steps of their scales; null where no trial is near."""
    edges: tuple[float, ...] = ()
    """Values between the five levels: fifths of the trials' values."""


def read_contour(rows: SweepRows, parameters: Sequence[Parameter], order: Sequence[str]) -> Contour:
    """Return the smoothed value over the first two numbers of `order` that enough trials have together."""
    places = {key: place for place, key in enumerate(order)}
    numbers = sorted((p for p in parameters if p.is_number), key=lambda p: places.get(p.key, len(places)))
    if len(numbers) < 2:
        return Contour(
            sentence="Fewer than two hyperparameters with numbers differ between the trials.", is_shown=False
        )
    pairs = [(first, second) for i, first in enumerate(numbers) for second in numbers[i + 1 :]]
    pair = next((pair for pair in pairs if len(_shared(*pair)) >= NEEDED_TRIALS), None)
    if pair is None:
        return Contour(
            sentence=f"No two hyperparameters with numbers have {NEEDED_TRIALS} trials with a value together.",
            is_shown=False,
        )
    return _contour(rows, *pair)


def _shared(first: Parameter, second: Parameter) -> list[str]:
    others = {trial.id for trial in second.trials}
    return [trial.id for trial in first.trials if trial.id in others]


def _contour(rows: SweepRows, x: Parameter, y: Parameter) -> Contour:
    ids = set(_shared(x, y))
    values = np.array([rows.value(trial) for trial in x.trials if trial.id in ids])
    units = [_units(parameter, ids) for parameter in (x, y)]
    surface = _smooth(units[0], units[1], values)
    cells = [[None if np.isnan(value) else decimals(value) for value in line] for line in surface]
    edges = [decimals(edge) for edge in np.unique(np.percentile(values, [20, 40, 60, 80]))]
    axes = [ContourAxis(key=p.key, label=p.label, is_log=p.is_log, low=p.low, high=p.high) for p in (x, y)]
    return Contour(
        sentence=_sentence(rows, x, y, surface, len(ids)),
        x=axes[0],
        y=axes[1],
        trials=len(ids),
        cells=cells,
        edges=edges,
    )


def _ends(parameter: Parameter) -> NDArray[np.float64]:
    ends = np.array([parameter.low, parameter.high], dtype=float)
    return np.log10(ends) if parameter.is_log else ends


def _units(parameter: Parameter, ids: set[str]) -> NDArray[np.float64]:
    """Return places from 0 to 1 of the trials with these ids, by number."""
    low, high = _ends(parameter)
    chosen = [trial.id in ids for trial in parameter.trials]
    units: NDArray[np.float64] = (parameter.places[chosen] - low) / (high - low)
    return units


def _smooth(x: NDArray[np.float64], y: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means weighted by a Gaussian of the distance (Nadaraya 1964; Watson 1964), NaN where no trial is near.

    The width is Scott's rule for two dimensions of values uniform in [0, 1] (Scott 1992, section 6.3).
    """
    width = (1 / 12) ** 0.5 * len(values) ** (-1 / 6)
    columns, lines = (np.arange(COLUMNS) + 0.5) / COLUMNS, (np.arange(LINES) + 0.5) / LINES
    across = np.exp(-(((columns[:, None] - x) / width) ** 2) / 2)
    along = np.exp(-(((lines[:, None] - y) / width) ** 2) / 2)
    weights = along @ across.T  # the sum over trials, for each line and column
    sums = (along * values) @ across.T
    smooth: NDArray[np.float64] = np.where(weights >= _LEAST_WEIGHT, sums / np.maximum(weights, 1e-300), np.nan)
    return smooth


def _sentence(rows: SweepRows, x: Parameter, y: Parameter, surface: NDArray[np.float64], trials: int) -> str:
    known = np.where(np.isnan(surface), -np.inf, rows.goal.sign * surface)
    line, column = np.unravel_index(int(known.argmax()), surface.shape)
    near = [_value_at(p, (place + 0.5) / count) for p, place, count in ((x, column, COLUMNS), (y, line, LINES))]
    return (
        f"Smoothed over {trials} trials, the best values lie near {x.label} {near[0]:.2g} and {y.label} {near[1]:.2g} "
        f"(about {score(float(surface[line, column]))})."
    )


def _value_at(parameter: Parameter, unit: float) -> float:
    low, high = _ends(parameter)
    place = low + unit * (high - low)
    return float(10**place if parameter.is_log else place)
