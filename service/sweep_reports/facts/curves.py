"""Learning curves: the metric of each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from search_spaces import Metric
from service.ledgers import EpochRow, Trial
from service.sweep_reports.facts.base import Part, Section, decimals, finite, score
from service.sweep_reports.facts.rows import SweepRows

__all__ = ["BEST_CURVES", "Curve", "Curves", "read_curves"]

BEST_CURVES: Final = 20
_MOST_POINTS: Final = 48
"""A longer curve is thinned out to at most this many epochs; its last and its best one stay."""


class Curve(Part):
    """The metric of a trial by epoch."""

    trial_id: str
    rank: int | None = None
    state: str
    epochs: list[int]
    values: list[float | None]


class Curves(Section):
    """The learning curves of all trials that finished an epoch, the best first."""

    epochs: int = 0
    """The most epochs of a trial."""
    curves: tuple[Curve, ...] = ()


def read_curves(rows: SweepRows) -> Curves:
    """Return the curves of all trials."""
    measure = Metric(rows.sweep.metric).measure
    curves = [
        _curve(rows, trial, rows.epochs[trial.id], measure) for trial in rows.board.trials if trial.id in rows.epochs
    ]
    curves = [curve for curve in curves if any(value is not None for value in curve.values)]
    if not curves:
        return Curves(sentence="No trial has finished an epoch.", is_shown=False)
    longest = max(curve.epochs[-1] for curve in curves)
    return Curves(sentence=_sentence(rows, curves, longest), epochs=longest, curves=curves)


def _curve(rows: SweepRows, trial: Trial, epochs: Sequence[EpochRow], measure: str) -> Curve:
    shown = _thinned(epochs, trial.best_epoch)
    values = [finite(row.readings.get("val", {}).get(measure)) for row in shown]
    return Curve(
        trial_id=trial.id,
        rank=rows.ranks.get(trial.id),
        state=trial.state.value,
        epochs=[row.epoch for row in shown],
        values=[None if value is None else decimals(value) for value in values],
    )


def _thinned(epochs: Sequence[EpochRow], best: int | None) -> list[EpochRow]:
    every = -(-len(epochs) // _MOST_POINTS)
    return [row for i, row in enumerate(epochs) if i % every == 0 or row.epoch in (best, epochs[-1].epoch)]


def _sentence(rows: SweepRows, curves: Sequence[Curve], longest: int) -> str:
    pruned = sum(curve.state == "pruned" for curve in curves)
    best = rows.board.best
    if best is None or best.best_epoch is None or best.best_value is None:
        return f"{len(curves)} trials have finished an epoch; none of them is ranked."
    text = f"The best trial reached {score(best.best_value)} in epoch {best.best_epoch} of {best.epochs}"
    if pruned:
        text += f"; {pruned} of {len(curves)} trials were pruned before the last epoch"
    is_rising = best.best_epoch == best.epochs == longest > 1
    advice = " It was still improving at its end: more epochs may help." if is_rising else ""
    return f"{text}.{advice}"
