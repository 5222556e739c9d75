"""Updates of a trial's run, made from the messages that wait about it."""

from __future__ import annotations

from collections.abc import Sequence

from service.ledgers import EpochRow, Message, MessageKind, Sweep, Trial
from service.tracking.run_contents import (
    best_metrics,
    dataset_input,
    epoch_metrics,
    model_metrics,
    recipe_params,
    time_metrics,
)
from service.tracking.run_tags import RUN_STATUS, end_tags
from service.tracking.run_writers import RunUpdate

__all__ = ["trial_update"]


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
