"""Freeze depth by learning rate: the median value in each field, for each optimizer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from service.ledgers import Trial
from service.sweep_reports.facts.base import Part, Section, decimals, score
from service.sweep_reports.facts.rows import SweepRows
from service.sweep_reports.facts.trials import written_depth

__all__ = ["DepthCell", "DepthGrid", "Depths", "read_depths"]

_FEWEST_TRIALS = 3
_MOST_GRIDS = 4
_MOST_COLUMNS = 6


class DepthCell(Part):
    """The trials with one freeze depth and one range of learning rates."""

    trials: int
    median: float
    best: float


class DepthGrid(Part):
    """Fields of one optimizer."""

    optimizer: str
    trials: int
    depths: list[str]
    """Freeze depths as sweep files have them, from all stages frozen to none."""
    edges: list[float]
    """Ends of the columns' ranges of learning rates, one more than columns."""
    cells: list[list[DepthCell | None]]
    """By freeze depth and range; null without a trial."""


class Depths(Section):
    """Freeze depth by learning rate."""

    grids: tuple[DepthGrid, ...] = ()


def read_depths(rows: SweepRows) -> Depths:
    """Return a grid for each optimizer that enough trials have."""
    named = ("freeze_depth", "optimizer.lr")
    having = [trial for trial in rows.measured if all(name in trial.recipe for name in named) and _rate(trial) > 0]
    varying = [name for name in named if len({trial.recipe[name] for trial in having}) > 1]
    if len(varying) < 2:
        names = {"freeze_depth": "freeze depth", "optimizer.lr": "learning rate"}
        missing = " and ".join(names[name] for name in named if name not in varying)
        return Depths(sentence=f"The trials with a value do not differ in {missing}.", is_shown=False)
    groups: dict[str, list[Trial]] = defaultdict(list)
    for trial in having:
        groups[str(trial.recipe.get("optimizer.name", "optimizer"))].append(trial)
    chosen = sorted((g for g in groups.items() if len(g[1]) >= _FEWEST_TRIALS), key=lambda g: (-len(g[1]), g[0]))
    grids = [_grid(rows, name, trials) for name, trials in chosen[:_MOST_GRIDS]]
    if not grids:
        why = f"No optimizer has {_FEWEST_TRIALS} trials with a value."
        return Depths(sentence=why, is_shown=False)
    return Depths(sentence=_sentence(rows, grids), grids=grids)


def _rate(trial: Trial) -> float:
    rate = trial.recipe["optimizer.lr"]
    return float(rate) if isinstance(rate, int | float) else 0.0


def _grid(rows: SweepRows, name: str, trials: Sequence[Trial]) -> DepthGrid:
    frozen: dict[str, float] = {}
    for trial in trials:
        frozen.setdefault(written_depth(rows, trial), float(trial.recipe["freeze_depth"]))
    depths = sorted(frozen, key=lambda depth: -frozen[depth])
    rates = [_rate(trial) for trial in trials]
    edges = _edges(min(rates), max(rates), len(trials))
    columns = [min(int(np.searchsorted(edges, rate, side="right")), len(edges) - 1) - 1 for rate in rates]
    values: dict[tuple[int, int], list[float]] = defaultdict(list)
    for trial, column in zip(trials, columns, strict=True):
        values[depths.index(written_depth(rows, trial)), max(column, 0)].append(rows.value(trial))
    cells = [[_cell(rows, values.get((row, column))) for column in range(len(edges) - 1)] for row in range(len(depths))]
    return DepthGrid(
        optimizer=name, trials=len(trials), depths=depths, edges=[float(f"{e:.6g}") for e in edges], cells=cells
    )


def _edges(low: float, high: float, trials: int) -> list[float]:
    """Return ends of ranges of equal factors, about one for each three trials, at most two in a decade."""
    if low == high:
        return [low / 1.5, high * 1.5]
    count = max(2, min(_MOST_COLUMNS, math.ceil(2 * math.log10(high / low)), math.ceil(trials / 3)))
    return [float(edge) for edge in np.geomspace(low, high, count + 1)]


def _cell(rows: SweepRows, values: list[float] | None) -> DepthCell | None:
    if not values:
        return None
    return DepthCell(trials=len(values), median=decimals(float(np.median(values))), best=rows.goal.best(values))


def _sentence(rows: SweepRows, grids: Sequence[DepthGrid]) -> str:
    fields = [
        (grid, depth, column, cell)
        for grid in grids
        for depth, row in zip(grid.depths, grid.cells, strict=True)
        for column, cell in enumerate(row)
        if cell is not None
    ]
    grid, depth, column, cell = min(fields, key=lambda field: (rows.goal.sort_key(field[3].median), -field[3].trials))
    low, high = grid.edges[column], grid.edges[column + 1]
    trials = f"{cell.trials} trials" if cell.trials > 1 else "a single trial"
    equal = sum(score(field[3].median) == score(cell.median) for field in fields) - 1
    first = f"The best field, with {equal} of the same median," if equal else "The best field"
    return (
        f"{first} has freeze depth {depth} and a learning rate from {low:.2g} to {high:.2g} with "
        f"{grid.optimizer}: median {score(cell.median)} of {trials}."
    )
