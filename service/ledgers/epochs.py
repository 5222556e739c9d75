"""Epochs, and the readings that were taken in them, as rows of the ledger."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, insert, or_, select

from search_spaces import Goal
from service.ledgers.records import EpochRow, Json, Trial
from service.ledgers.tables import epochs, readings, trials
from service.ledgers.transactions import batches

__all__ = [
    "best_epoch",
    "insert_epochs",
    "read_epochs",
    "read_epochs_of_sweep",
    "read_last_and_best",
    "read_seconds",
    "reading",
]


def insert_epochs(connection: Connection, trial_id: str, attempt: int, rows: Sequence[EpochRow]) -> None:
    """Add finished epochs of one trial."""
    marks = [
        {
            "trial_id": trial_id,
            "epoch": row.epoch,
            "attempt": attempt,
            "seconds": row.seconds,
            "recorded_at": row.recorded_at,
        }
        for row in rows
    ]
    connection.execute(insert(epochs), marks)
    measured = [reading(trial_id, row.epoch, split, metrics) for row in rows for split, metrics in row.readings.items()]
    connection.execute(insert(readings), measured)


def read_epochs(connection: Connection, trial_ids: Iterable[str]) -> dict[str, list[EpochRow]]:
    """Return every epoch of the trials, in order, by trial."""
    rows: dict[str, list[EpochRow]] = {}
    for ids in batches(trial_ids):
        rows |= _read(connection, select(trials.c.id).where(trials.c.id.in_(ids)))
    return rows


def read_epochs_of_sweep(connection: Connection, sweep_id: str) -> dict[str, list[EpochRow]]:
    """Return every epoch of the sweep's trials, in order, by trial."""
    return _read(connection, select(trials.c.id).where(trials.c.sweep_id == sweep_id))


def read_last_and_best(
    connection: Connection, sweep_id: str, trial_ids: Iterable[str] | None = None
) -> dict[str, list[EpochRow]]:
    """Return the best and the last epoch of a sweep's trials, in order, by trial; trial_ids: of these trials alone."""
    of_sweep = select(trials.c.id).where(trials.c.sweep_id == sweep_id)
    if trial_ids is None:
        return _read(connection, of_sweep, only_last_and_best=True)
    rows: dict[str, list[EpochRow]] = {}
    for ids in batches(trial_ids):
        rows |= _read(connection, of_sweep.where(trials.c.id.in_(ids)), only_last_and_best=True)
    return rows


def read_seconds(connection: Connection, sweep_id: str) -> dict[str, float]:
    """Return the time in finished epochs by trial, of those trials of a sweep that have any."""
    summed = select(epochs.c.trial_id, func.sum(epochs.c.seconds)).join(trials, trials.c.id == epochs.c.trial_id)
    rows = connection.execute(summed.where(trials.c.sweep_id == sweep_id).group_by(epochs.c.trial_id))
    return {trial_id: float(seconds) for trial_id, seconds in rows}


def _read(
    connection: Connection, trial_ids: Select[Any], *, only_last_and_best: bool = False
) -> dict[str, list[EpochRow]]:
    by_epoch: dict[tuple[str, int], dict[str, dict[str, float]]] = {}
    measured_rows = select(readings).where(readings.c.trial_id.in_(trial_ids))
    if only_last_and_best:
        measured_rows = measured_rows.join(trials, trials.c.id == readings.c.trial_id).where(
            or_(readings.c.epoch == trials.c.epochs, readings.c.epoch == trials.c.best_epoch)
        )
    for trial_id, epoch, split, metrics in connection.execute(measured_rows):
        by_epoch.setdefault((trial_id, epoch), {})[split] = {
            name: math.nan if value is None else value for name, value in metrics.items()
        }
    rows: dict[str, list[EpochRow]] = {}
    marks = select(epochs.c.trial_id, epochs.c.epoch, epochs.c.seconds, epochs.c.recorded_at)
    ordered = marks.where(epochs.c.trial_id.in_(trial_ids)).order_by(epochs.c.trial_id, epochs.c.epoch)
    if only_last_and_best:
        ordered = ordered.join(trials, trials.c.id == epochs.c.trial_id).where(
            or_(epochs.c.epoch == trials.c.epochs, epochs.c.epoch == trials.c.best_epoch)
        )
    for trial_id, epoch, seconds, recorded_at in connection.execute(ordered):
        measured = by_epoch.get((trial_id, epoch), {})
        row = EpochRow(epoch=epoch, seconds=seconds, recorded_at=recorded_at, readings=measured)
        rows.setdefault(trial_id, []).append(row)
    return rows


def reading(trial_id: str, epoch: int, split: str, metrics: Mapping[str, float]) -> Json:
    """Return one row of readings; a value that is not finite is stored as null."""
    finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    return {"trial_id": trial_id, "epoch": epoch, "split": split, "metrics": finite}


def best_epoch(trial: Trial, rows: Sequence[EpochRow], metric: str, goal: Goal) -> tuple[int | None, float | None]:
    """Return the first epoch with the best value, and the value; only finite values count."""
    epoch, best = trial.best_epoch, trial.best_value
    for row in rows:
        value = row.metrics().get(metric, math.nan)
        if math.isfinite(value) and goal.is_better(value, best):
            epoch, best = row.epoch, value
    return epoch, best
