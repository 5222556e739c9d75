"""Readings of a split by a trained model, as they enter the ledger."""

from __future__ import annotations

from service.ledgers import Json, Ledger, PackedPredictions, Trial

__all__ = ["record_reading"]


def record_reading(ledger: Ledger, trial: Trial, split: str, reading: Json, *, read_by: str) -> None:
    """Write what a model predicted on a split, and its metrics there; read_by: the part of the sweep that asked."""
    metrics = reading["metrics"]
    rows = {row.epoch: row for row in ledger.trials.epochs(trial.id)}
    epoch = trial.best_epoch or 0
    if epoch not in rows or split not in rows[epoch].readings:
        ledger.trials.add_reading(trial.id, epoch=epoch, split=split, metrics=metrics)
    facts = {name: value for name, value in reading.items() if name != "metrics"}
    ledger.predictions.add(trial.id, [PackedPredictions(split=split, read_by=read_by, **facts)])
