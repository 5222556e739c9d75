"""Epochs and what was measured in them, as rows of the ledger."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, insert, select

from service.ledgers.records import EpochRow, Json
from service.ledgers.tables import epochs, readings


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
    found = [reading(trial_id, row.epoch, split, of) for row in rows for split, of in row.readings.items()]
    connection.execute(insert(readings), found)


def read_epochs(connection: Connection, trial_ids: Sequence[str]) -> dict[str, list[EpochRow]]:
    """Every epoch of the trials, in order, by trial."""
    by_epoch: dict[tuple[str, int], dict[str, dict[str, float]]] = {}
    query = select(readings).where(readings.c.trial_id.in_(trial_ids))
    for trial_id, epoch, split, metrics in connection.execute(query):
        by_epoch.setdefault((trial_id, epoch), {})[split] = {
            name: math.nan if value is None else value for name, value in metrics.items()
        }
    found: dict[str, list[EpochRow]] = {}
    marks = select(epochs.c.trial_id, epochs.c.epoch, epochs.c.seconds, epochs.c.recorded_at)
    ordered = marks.where(epochs.c.trial_id.in_(trial_ids)).order_by(epochs.c.trial_id, epochs.c.epoch)
    for trial_id, epoch, seconds, recorded_at in connection.execute(ordered):
        of = by_epoch.get((trial_id, epoch), {})
        row = EpochRow(epoch=epoch, seconds=seconds, recorded_at=recorded_at, readings=of)
        found.setdefault(trial_id, []).append(row)
    return found


def reading(trial_id: str, epoch: int, split: str, metrics: Mapping[str, float]) -> Json:
    """One row; a value that is not a number is kept as null."""
    finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    return {"trial_id": trial_id, "epoch": epoch, "split": split, "metrics": finite}
