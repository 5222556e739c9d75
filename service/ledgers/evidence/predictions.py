"""Predictions of single images in the ledger, with the labels of the images, and which part of a sweep read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select

from service.ledgers import tables
from service.ledgers.records import PackedPredictions, TrialPhase
from service.ledgers.transactions import Transactions, check_sweep

__all__ = ["PredictionRows", "insert_predictions"]

_PREDICTIONS, _LABELS, _TRIALS = tables.predictions.c, tables.split_labels.c, tables.trials.c
_ROW = (_PREDICTIONS.split, _PREDICTIONS.epoch, _PREDICTIONS.images, _PREDICTIONS.packed)
_READING = (_PREDICTIONS.read_by, _PREDICTIONS.read_at)


class PredictionRows:
    """Reads and writes predictions of single images, which a trial has for a split at most once.

    Thread safety: any thread or process may call; each call is one transaction.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, trial_id: str, predictions: Iterable[PackedPredictions]) -> None:
        """Add predictions that were made outside the training; they replace those of the same split."""
        with self._transactions.writing() as connection:
            insert_predictions(connection, trial_id, predictions)

    def get(self, trial_id: str, split: str) -> PackedPredictions | None:
        """Return a trial's predictions for a split; None if there are none."""
        query = select(*_ROW, *_READING).where(_PREDICTIONS.trial_id == trial_id, _PREDICTIONS.split == split)
        rows = self._transactions.rows(query)
        return PackedPredictions(**rows[0]) if rows else None

    def of_sweep(
        self, sweep_id: str, split: str, *, phase: TrialPhase = TrialPhase.SEARCH
    ) -> dict[str, PackedPredictions]:
        """Return the predictions for a split of all trials of one phase that have any, by trial."""
        query = (
            select(_PREDICTIONS.trial_id, *_ROW, *_READING)
            .join(tables.trials, _TRIALS.id == _PREDICTIONS.trial_id)
            .where(_TRIALS.sweep_id == sweep_id, _TRIALS.phase == phase.value, _PREDICTIONS.split == split)
            .order_by(_TRIALS.number)
        )
        rows = [dict(row) for row in self._transactions.rows(query)]
        return {row.pop("trial_id"): PackedPredictions(**row) for row in rows}

    def note_labels(self, sweep_id: str, labels: Mapping[str, str]) -> None:
        """Note the packed labels of the sweep's images by split; those that are there stay.

        Raises:
            SweepNotFoundError: there is no such sweep.
        """
        with self._transactions.writing() as connection:
            check_sweep(connection, sweep_id)
            present = set(connection.scalars(select(_LABELS.split).where(_LABELS.sweep_id == sweep_id)))
            rows = [
                {"sweep_id": sweep_id, "split": split, "packed": packed}
                for split, packed in labels.items()
                if split not in present
            ]
            if rows:
                connection.execute(insert(tables.split_labels), rows)

    def labels(self, sweep_id: str, split: str) -> str | None:
        """Return the packed labels of a split, in the order of its predictions; None if they were not noted."""
        query = select(_LABELS.packed).where(_LABELS.sweep_id == sweep_id, _LABELS.split == split)
        rows = self._transactions.rows(query)
        return str(rows[0]["packed"]) if rows else None


def insert_predictions(connection: Connection, trial_id: str, predictions: Iterable[PackedPredictions]) -> None:
    """Add predictions of a trial as part of the transaction that `connection` is in; they replace earlier ones."""
    rows = [{"trial_id": trial_id, **asdict(packed)} for packed in predictions]
    if not rows:
        return
    splits = [row["split"] for row in rows]
    earlier = (_PREDICTIONS.trial_id == trial_id) & _PREDICTIONS.split.in_(splits)
    connection.execute(delete(tables.predictions).where(earlier))
    connection.execute(insert(tables.predictions), rows)
