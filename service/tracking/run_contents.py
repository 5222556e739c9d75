"""Params, metrics and data sets of MLflow runs, made from the ledger's records and the messages about them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

from search_spaces.backbones import written_freeze_depth
from service.confirmations import Confirmation
from service.ledgers import EpochRow, Json, Message, MessageKind, Sweep, Trial
from service.objectives import Limits
from service.tracking.run_names import WRITTEN_DEPTH, log10_name
from service.tracking.run_tags import RUN_STATUS, end_tags
from service.tracking.run_writers import RunUpdate

__all__ = [
    "best_metrics",
    "dataset_input",
    "decision_metrics",
    "epoch_metrics",
    "model_metrics",
    "recipe_params",
    "settings_params",
    "split_inputs",
    "time_metrics",
    "trial_update",
]

_LONGEST_PARAM = 6000
_LONGEST_NAME = 500
_LONGEST_DIGEST = 36
_LONGEST_PROFILE = 16_000_000


def trial_update(
    sweep: Sweep,
    trial: Trial,
    messages: Sequence[Message],
    rows: Sequence[EpochRow],
    *,
    begins: bool,
    ends: bool,
    seconds: float,
) -> RunUpdate:
    """Return what the messages of one trial say; seconds: how long its attempts had a worker."""
    spans = [message.payload for message in messages if message.kind is MessageKind.EPOCHS]
    reported = [row for row in rows if any(span["first"] <= row.epoch <= span["last"] for span in spans)]
    metrics = [metric for row in reported for metric in epoch_metrics(row)]
    at = trial.finished_at or messages[-1].created_at
    if begins:
        metrics = [*model_metrics(sweep, trial), *metrics]
    if ends:
        metrics = [*metrics, *best_metrics(trial, rows, at), *time_metrics(trial, seconds, at)]
    own_stages = sweep.own_stages(trial.recipe.get("backbone"))
    return RunUpdate(
        metrics=metrics,
        params=recipe_params(trial.recipe, log_scaled=sweep.log_scaled, own_stages=own_stages) if begins else (),
        tags=end_tags(trial) if ends else (),
        datasets=[dataset_input(sweep.data)] if begins else (),
        status=RUN_STATUS[trial.state] if ends else None,
        ended_at=at if ends else None,
    )


def settings_params(sweep: Sweep) -> list[Param]:
    """Return the settings with which the sweep began as params of its run; MLflow takes no other value of a param."""
    return [Param(name, str(value)[:_LONGEST_PARAM]) for name, value in sweep.first_settings.items()]


def recipe_params(recipe: Json, *, log_scaled: Sequence[str] = (), own_stages: int | None = None) -> list[Param]:
    """Return a recipe's values as params.

    The freeze depth is there as the number of frozen stages and as sweep files write it.

    log_scaled: names whose values are there as powers of ten too, since MLflow's parallel coordinates have no
    logarithmic axis; the learning rate always is. own_stages: the number of stages of the user's own backbone.
    """
    params = {name: str(value) for name, value in recipe.items()}
    for name in dict.fromkeys(("optimizer.lr", *log_scaled)):
        value = recipe.get(name)
        if isinstance(value, int | float) and value > 0:
            params[log10_name(name)] = f"{math.log10(value):.4f}"
    if "freeze_depth" in recipe:
        backbone = str(recipe.get("backbone"))
        params[WRITTEN_DEPTH] = written_freeze_depth(recipe["freeze_depth"], backbone=backbone, own_stages=own_stages)
    return [Param(name, value[:_LONGEST_PARAM]) for name, value in params.items()]


def decision_metrics(confirmation: Confirmation, at: int, *, step: int) -> list[Metric]:
    """Return the figures of a decision as metrics of the sweep's run; at: milliseconds since 1970.

    A decision counts losses as negative scores; MLflow gets losses.
    """
    decision, test = confirmation.decision, confirmation.test or {}
    assert decision is not None, "there is a decision"
    low, high = (decision.low, decision.high) if decision.bounded else (decision.high, decision.low)
    scores = {
        "confirm/score": decision.score,
        "confirm/low": low,
        "confirm/high": high,
        "confirm/search_score": decision.naive,
        "confirm/test_score": test.get("chosen", {}).get("mean"),
    }
    sign = 1.0 if decision.bounded else -1.0
    values = {name: sign * score for name, score in scores.items() if score is not None}
    if decision.probability is not None:
        values["confirm/probability"] = decision.probability
    return [Metric(name, value, at, step) for name, value in values.items()]


def epoch_metrics(row: EpochRow) -> list[Metric]:
    """Return the finite readings of an epoch, the use of its machine (`system/`), and its seconds.

    They have the time at which they were measured.
    """
    values = row.metrics("train", "val", "system") | {"time/epoch_seconds": row.seconds}
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


def model_metrics(sweep: Sweep, trial: Trial) -> list[Metric]:
    """Return what the trial's model costs, as measured before the sweep's first trial: parameters and latency."""
    costs = Limits.from_sweep(sweep).values(trial.recipe, None)
    return [Metric(name, value, trial.created_at, 0) for name, value in costs.items()]


def time_metrics(trial: Trial, seconds: float, at: int) -> list[Metric]:
    """Return the time that a trial took and saved, under `cost/`.

    seconds: how long its attempts had a worker. at: milliseconds since 1970.
    """
    sharing = trial.sharing or {}
    values = {"cost/seconds": seconds}
    if sharing.get("gpus"):
        values["cost/gpu_seconds"] = seconds * sharing["gpus"]
    if "saved_seconds" in sharing:
        values["cost/saved_seconds"] = sharing["saved_seconds"]
    return [Metric(name, value, at, trial.epochs) for name, value in values.items() if math.isfinite(value)]


def dataset_input(data: Mapping[str, Any]) -> DatasetInput:
    """Return the sweep's images as the data set that its runs trained on."""
    profile = {"images": data["images"], "image_size": data["image_size"], "classes": data["classes"]}
    return _input(data, data["name"], data["digest"], profile, "training")


def split_inputs(data: Mapping[str, Any]) -> list[DatasetInput]:
    """Return the sweep's images as a data set, and each of its splits that holds images as another.

    A split has a digest of its own if all backbones see the same resized images.
    """
    resized = list(data.get("resized", {}).values())
    splits = resized[0]["splits"] if len(resized) == 1 else {}
    inputs = [dataset_input(data)]
    for split, about in splits.items():
        if about["images"]:
            classes = {name: counts.get(split, 0) for name, counts in data["classes"].items()}
            profile = {"images": about["images"], "image_size": data["image_size"], "classes": classes}
            inputs.append(_input(data, f"{data['name']}/{split}", about["digest"], profile, split))
    return inputs


def _input(data: Mapping[str, Any], name: str, digest: str, profile: Json, context: str) -> DatasetInput:
    dataset = Dataset(
        name=name[:_LONGEST_NAME],
        digest=digest[:_LONGEST_DIGEST],
        source_type="local",
        source=json.dumps({"source": data["source"], "split": data["split"]}),
        profile=json.dumps(profile)[:_LONGEST_PROFILE],
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", context)])
