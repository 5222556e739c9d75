"""Tags, params, metrics and data sets of MLflow runs, made from the ledger's records."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from service.confirmations import Confirmation, summarize_decision
from service.ledgers import EpochRow, Json, Sweep, SweepState, Trial, TrialPhase, TrialState
from service.objectives import Limits
from service.schedulers import bracket_in

__all__ = [
    "RUN_STATUS",
    "best_metrics",
    "cost_metrics",
    "dataset_input",
    "decision_metrics",
    "decision_tags",
    "end_tags",
    "epoch_metrics",
    "recipe_params",
    "settings_params",
    "state_tag",
    "sweep_tags",
    "trial_tags",
]

RUN_STATUS: Mapping[TrialState | SweepState, str] = {
    TrialState.COMPLETED: "FINISHED",
    TrialState.PRUNED: "FINISHED",
    TrialState.FAILED: "FAILED",
    TrialState.CANCELLED: "KILLED",
    TrialState.PAUSED: "KILLED",
    SweepState.COMPLETED: "FINISHED",
    SweepState.STOPPED: "FINISHED",
    SweepState.CANCELLED: "KILLED",
    SweepState.INTERRUPTED: "KILLED",
    SweepState.PAUSED: "KILLED",
    SweepState.FAILED: "FAILED",
}
"""MLflow's status of a run for each state that ends one. MLflow knows no pause."""

_LONGEST_PARAM = 6000
_LONGEST_ERROR = 5000
_LONGEST_NAME = 500
_LONGEST_DIGEST = 36
_LONGEST_PROFILE = 16_000_000


def sweep_tags(sweep: Sweep) -> dict[str, str]:
    """Return the tags with which a sweep's run begins; the `meltpoint.*` ids find it again."""
    costs = Limits.from_sweep(sweep).costs
    measured = costs.describe_machine() if costs else ""
    tags = {
        "mlflow.runName": f"{sweep.name} {sweep.id}",
        "mlflow.source.name": Path(sweep.spec_file).name,
        "meltpoint.kind": "sweep",
        "meltpoint.sweep_id": sweep.id,
        "meltpoint.state": SweepState.RUNNING.value,
    }
    return tags | {"meltpoint.latency": measured} if measured else tags


def trial_tags(sweep: Sweep, trial: Trial, *, parent: str) -> dict[str, str]:
    """Return the tags with which a trial's run begins; parent: id of the sweep's run."""
    tags = {
        "mlflow.runName": trial.id,
        "mlflow.parentRunId": parent,
        "mlflow.source.name": Path(sweep.spec_file).name,
        "meltpoint.kind": "trial" if trial.phase is TrialPhase.SEARCH else "retraining",
        "meltpoint.sweep_id": sweep.id,
        "meltpoint.trial_id": trial.id,
        "meltpoint.identity": trial.identity,
        "meltpoint.state": TrialState.RUNNING.value,
    }
    if trial.phase is TrialPhase.CONFIRM:
        return tags | {"meltpoint.retrains": trial.retrains or "default", "meltpoint.seed": str(trial.seed)}
    bracket = bracket_in(sweep, trial.number)
    return tags if bracket is None else tags | {"meltpoint.bracket": str(bracket)}


def state_tag(state: TrialState | SweepState) -> RunTag:
    """Return the tag that shows the state."""
    return RunTag("meltpoint.state", state.value)


def end_tags(trial: Trial) -> list[RunTag]:
    """Return the tags that a trial's run gets at its end: state, error, and how its frozen part was computed."""
    tags = [state_tag(trial.state)]
    if trial.sharing is not None:
        sharing = trial.sharing
        reason = sharing["trouble"] or sharing["reason"]
        note = f"{sharing['computed']} images computed, {sharing['read']} read; {reason}"
        tags += [RunTag("meltpoint.prefix", sharing["training"]), RunTag("meltpoint.prefix.note", note)]
    if trial.breaks:
        tags.append(RunTag("meltpoint.breaks", trial.breaks))
    if trial.error:
        tags.append(RunTag("meltpoint.error", trial.error[:_LONGEST_ERROR]))
    return tags


def settings_params(sweep: Sweep) -> list[Param]:
    """Return the settings with which the sweep began as params of its run; MLflow takes no other value of a param."""
    return [Param(name, str(value)[:_LONGEST_PARAM]) for name, value in sweep.first_settings.items()]


def recipe_params(recipe: Json) -> list[Param]:
    """Return a recipe's values as params, the rate also as a power of ten: parallel coordinates have no log axis."""
    params = {name: str(value) for name, value in recipe.items()}
    rate = recipe.get("optimizer.lr")
    if rate:
        params["optimizer.log10_lr"] = f"{math.log10(rate):.4f}"
    return [Param(name, value) for name, value in params.items()]


def decision_metrics(confirmation: Confirmation, at: int) -> list[Metric]:
    """Return the figures of a decision as metrics of the sweep's run; at: milliseconds since 1970."""
    decision, test = confirmation.decision, confirmation.test or {}
    assert decision is not None, "there is a decision"
    values = {
        "confirm/score": decision.score,
        "confirm/low": decision.low,
        "confirm/high": decision.high,
        "confirm/probability": decision.probability,
        "confirm/search_score": decision.naive,
        "confirm/test_score": test.get("chosen", {}).get("mean"),
    }
    return [Metric(name, value, at, 0) for name, value in values.items() if value is not None]


def decision_tags(confirmation: Confirmation) -> list[RunTag]:
    """Return the tags of a sweep's run that tell its decision: outcome, recipe, and the model to deploy."""
    decision, chosen = confirmation.decision, confirmation.chosen
    assert decision is not None, "there is a decision"
    assert chosen is not None, "a decision chooses a recipe"
    return [
        RunTag("meltpoint.decision", decision.outcome.value),
        RunTag("meltpoint.decision.summary", summarize_decision(decision)),
        RunTag("meltpoint.chosen", chosen.trial_id or "default"),
        RunTag("meltpoint.deployed", confirmation.deployed or ""),
    ]


def epoch_metrics(row: EpochRow) -> list[Metric]:
    """Return the finite readings of an epoch, and its seconds, at the time when they were measured."""
    values = row.metrics() | {"time/epoch_seconds": row.seconds}
    return [Metric(name, value, row.recorded_at, row.epoch) for name, value in values.items() if math.isfinite(value)]


def best_metrics(trial: Trial, rows: Sequence[EpochRow], at: int) -> list[Metric]:
    """Return the finite readings of the trial's best epoch under `best/`, and those on confirmation images.

    at: milliseconds since 1970.
    """
    best = [row.best_metrics() | row.metrics("confirm") for row in rows if row.epoch == trial.best_epoch]
    return [
        Metric(name, value, at, trial.epochs)
        for metrics in best
        for name, value in metrics.items()
        if math.isfinite(value)
    ]


def cost_metrics(sweep: Sweep, trial: Trial) -> list[Metric]:
    """Return what the trial's model costs, as measured before the sweep's first trial."""
    costs = Limits.from_sweep(sweep).values(trial.recipe, None)
    return [Metric(name, value, trial.created_at, 0) for name, value in costs.items()]


def dataset_input(data: Mapping[str, Any]) -> DatasetInput:
    """Return the sweep's images as the data set that its runs trained on."""
    source = {"source": data["source"], "split": data["split"]}
    profile = {"images": data["images"], "image_size": data["image_size"], "classes": data["classes"]}
    dataset = Dataset(
        name=data["name"][:_LONGEST_NAME],
        digest=data["digest"][:_LONGEST_DIGEST],
        source_type="local",
        source=json.dumps(source),
        profile=json.dumps(profile)[:_LONGEST_PROFILE],
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "training")])
