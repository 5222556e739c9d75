"""Retrainings of a sweep's confirmation, as data and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from search_spaces import Metric
from service.ledgers import EpochRow, Json, Sweep, Trial, TrialPhase, TrialState

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["RetrainingResult", "read_retrainings", "retraining_table"]

DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class RetrainingResult:
    """A retraining with its readings.

    contender: `default`, or the trial of the search whose recipe it trains, such as `trial 5`. retrains: id of that
    trial; None if the search had none. metrics: of the best epoch, on val and confirm. seconds: in
    finished epochs.
    """

    trial_id: str
    state: TrialState
    contender: str
    retrains: str | None
    seed: int
    recipe: Json
    metrics: Json
    epochs: int
    seconds: float
    mlflow_run_id: str | None
    error: str | None

    @classmethod
    def from_records(cls, trial: Trial, rows: Sequence[EpochRow], *, is_default: bool) -> RetrainingResult:
        """Return the result of a retraining; rows: its epochs."""
        best = next((row for row in rows if row.epoch == trial.best_epoch), None)
        metrics = {} if best is None else best.metrics("val", "confirm")
        number = "" if trial.retrains is None else trial.retrains.rpartition("-")[2].lstrip("0") or "0"
        return cls(
            trial_id=trial.id,
            state=trial.state,
            contender=DEFAULT if is_default or not number else f"trial {number}",
            retrains=trial.retrains,
            seed=trial.seed,
            recipe=trial.recipe,
            metrics={name: value if math.isfinite(value) else None for name, value in metrics.items()},
            epochs=trial.epochs,
            seconds=round(sum(row.seconds for row in rows), 3),
            mlflow_run_id=trial.mlflow_run_id,
            error=trial.error,
        )

    def as_json(self) -> Json:
        """Return the retraining for `trials --phase confirm -o json`."""
        return asdict(self) | {"state": self.state.value}


def read_retrainings(ledger: Ledger, sweep: Sweep) -> list[RetrainingResult]:
    """Return the retrainings of a sweep's confirmation, by number; none if none has begun."""
    trials = ledger.trials.list(sweep.id, TrialPhase.CONFIRM)
    epochs = ledger.trials.epochs_of(trial.id for trial in trials)
    contenders = (sweep.confirmation or {}).get("recipes", ())
    defaults = {contender["identity"] for contender in contenders if contender["role"] == DEFAULT}
    return [
        RetrainingResult.from_records(trial, epochs.get(trial.id, ()), is_default=trial.identity in defaults)
        for trial in trials
    ]


def retraining_table(retrainings: Sequence[RetrainingResult], *, metric: str) -> tuple[list[str], list[list[str]]]:
    """Return the column names and a row for each retraining; metric: of the sweep, such as `val/accuracy`."""
    names = [metric, Metric(metric).on("confirm")]
    rows = [
        [
            retraining.trial_id,
            retraining.contender,
            str(retraining.seed),
            retraining.state.value,
            *(_written(retraining.metrics.get(name)) for name in names),
            str(retraining.epochs),
            f"{retraining.seconds:.1f}",
        ]
        for retraining in retrainings
    ]
    return ["retraining", "recipe", "seed", "state", *names, "epochs", "seconds"], rows


def _written(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
