"""Trials, their epochs and their curves as a service sends them."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field

from service.ledgers import EpochRow, Trial, TrialState
from service.schemas.base import Answer, JsonObject, Milliseconds, Number

__all__ = ["CurveModel", "EpochModel", "TrialModel", "TrialResult"]


class TrialModel(Answer):
    """A trial, without traces and without the paths of its checkpoints."""

    id: str
    """Id: that of the sweep with the trial's number behind it."""
    sweep_id: str
    number: int
    state: TrialState
    attempt: int
    """Number of the present attempt, from 1; 0 before the first."""
    epochs: int
    """Number of epochs finished."""
    seed: int
    identity: str
    """Hash of the recipe without the seed."""
    recipe: JsonObject
    """Every hyperparameter, resolved."""
    point: JsonObject = Field(default_factory=dict)
    """Values as the searcher drew them."""
    best_epoch: int | None = None
    best_value: Number = None
    sharing: JsonObject | None = None
    """Amounts that the trial computed itself and took from the cache."""
    error: str | None = None
    created_at: Milliseconds
    started_at: Milliseconds | None = None
    finished_at: Milliseconds | None = None
    mlflow_run_id: str | None = None
    breaks: str | None = None
    """Limits that the trial breaks, in words; null if it keeps all."""
    node: str | None = None
    """Name of the node of the newest attempt; null if it is not known."""

    @classmethod
    def from_record(cls, trial: Trial) -> TrialModel:
        """Return the model of a trial."""
        return cls(**{name: getattr(trial, name) for name in cls.model_fields})

    def to_record(self) -> Trial:
        """Return the ledger's record as a client knows it."""
        return Trial(**{name: getattr(self, name) for name in TrialModel.model_fields})


class EpochModel(Answer):
    """The readings of one finished epoch."""

    epoch: int
    """Number of the epoch, from 1."""
    seconds: float
    recorded_at: Milliseconds
    readings: dict[str, dict[str, Number]]
    """Metrics by split, and the use of the machine as `system` every ten seconds; null if a value is not finite."""

    @classmethod
    def from_record(cls, row: EpochRow) -> EpochModel:
        """Return the model of an epoch."""
        readings: dict[str, Any] = {split: dict(metrics) for split, metrics in row.readings.items()}
        return cls(epoch=row.epoch, seconds=row.seconds, recorded_at=row.recorded_at, readings=readings)

    def to_record(self) -> EpochRow:
        """Return the ledger's record; a value that is not finite comes back as NaN."""
        readings = {
            split: {name: math.nan if value is None else value for name, value in metrics.items()}
            for split, metrics in self.readings.items()
        }
        return EpochRow(epoch=self.epoch, seconds=self.seconds, recorded_at=self.recorded_at, readings=readings)


class CurveModel(Answer):
    """All epochs of one trial, in order."""

    trial_id: str
    number: int
    state: TrialState
    epochs: list[EpochModel]

    @classmethod
    def from_records(cls, trial: Trial, rows: list[EpochRow]) -> CurveModel:
        """Return the curve of a trial."""
        epochs = [EpochModel.from_record(row) for row in rows]
        return cls(trial_id=trial.id, number=trial.number, state=trial.state, epochs=epochs)


class TrialResult(Answer):
    """A trial as `meltpoint trials -o json` prints it."""

    trial_id: str
    state: TrialState
    recipe: JsonObject
    metrics: dict[str, Number]
    """Readings of the last epoch; those of the best epoch begin with `best/`."""
    epochs: int
    seconds: float
    """Time in finished epochs."""
    mlflow_run_id: str | None = None
    sharing: JsonObject | None = None
    error: str | None = None
    like_first: bool | None = None
    """False if the val images tell the trial apart from the first; null if that is not known."""
    optimism: float | None = None
    """For the best trial, how much better its value is expected to be than the same model's on new images."""
    breaks: str | None = None
    """Limits that the trial breaks, in words; null if it keeps all."""
    pareto: bool | None = None
    """True if no other trial beats it in every wanted metric; null if only one metric is wanted."""
