"""Writes runs to an MLflow through its client."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mlflow.entities import DatasetInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from service.models.artifacts import writing_artifact

__all__ = ["METRICS_A_BATCH", "RunUpdate", "RunWriter", "leaving_deleted_alone", "was_deleted"]

log = logging.getLogger(__name__)

METRICS_A_BATCH = 1000
"""Most metrics that MLflow takes in one request."""


@dataclass(frozen=True, kw_only=True)
class RunUpdate:
    """New points, parameters and tags of a run.

    metrics: finite values. status: one of MLflow's run states. ended_at: milliseconds since 1970, if the run has ended
    with that status.
    """

    metrics: Sequence[Metric] = ()
    params: Sequence[Param] = ()
    tags: Sequence[RunTag] = ()
    datasets: Sequence[DatasetInput] = ()
    status: str | None = None
    ended_at: int | None = None


class RunWriter:
    """Creates and updates runs.

    An update may be repeated: MLflow stores a metric with the same step, time and value, a param and a data set once.
    What was written last to a run or a file is not written again. So a delivery of many requests that broke off and is
    repeated goes on where it broke off; on a bad network it would otherwise never come to its end.

    Thread safety: one thread at a time. Raises (any method): MlflowException, or what the network raises.
    """

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._last_updates: dict[str, int] = {}
        """Hash of the last whole update, by run."""
        self._last_texts: dict[tuple[str, str], int] = {}
        """Hash of the last text, by run and file."""

    def create(self, experiment_id: str, tags: Mapping[str, str], started: int | None, update: RunUpdate) -> str:
        """Create a run that began at `started` (milliseconds since 1970), and write `update`; return the run's id."""
        with _without_retries():
            run = self._client.create_run(
                experiment_id, start_time=started, tags=dict(tags), run_name=tags["mlflow.runName"]
            )
        self.write(run.info.run_id, update)
        return str(run.info.run_id)

    def write(self, run_id: str, update: RunUpdate) -> None:
        """Write an update in as few requests as MLflow's limits allow; params and tags go with the first metrics.

        A run that was deleted by hand is left alone.
        """
        signature = _hash_of(update)
        if self._last_updates.pop(run_id, None) != signature:
            with leaving_deleted_alone(run_id):
                self._write(run_id, update)
        self._last_updates[run_id] = signature

    def log_text(self, run_id: str, text: str, file: str) -> None:
        """Log a text as a file of a run, unless the run was deleted by hand. Raises ArtifactError alone."""
        signature = hash(text)
        if self._last_texts.pop((run_id, file), None) != signature:
            with leaving_deleted_alone(run_id), writing_artifact(self._client, run_id):
                self._client.log_text(run_id, text, file)
        self._last_texts[run_id, file] = signature

    def _write(self, run_id: str, update: RunUpdate) -> None:
        if update.status is not None and update.ended_at is None:
            self._client.update_run(run_id, status=update.status)
        if update.datasets:
            self._client.log_inputs(run_id, datasets=list(update.datasets))
        metrics = list(update.metrics)
        if metrics or update.params or update.tags:
            first = metrics[:METRICS_A_BATCH]
            self._client.log_batch(run_id, metrics=first, params=update.params, tags=update.tags)
        for start in range(METRICS_A_BATCH, len(metrics), METRICS_A_BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : start + METRICS_A_BATCH])
        if update.ended_at is not None:
            self._client.set_terminated(run_id, status=update.status, end_time=update.ended_at)


def _hash_of(update: RunUpdate) -> int:
    return hash(
        (
            tuple(
                (metric.key, metric.value, metric.timestamp, metric.step, metric.model_id) for metric in update.metrics
            ),
            tuple((param.key, param.value) for param in update.params),
            tuple((tag.key, tag.value) for tag in update.tags),
            tuple((entry.dataset.name, entry.dataset.digest) for entry in update.datasets),
            update.status,
            update.ended_at,
        )
    )


@contextmanager
def leaving_deleted_alone(run_id: str) -> Iterator[None]:
    """Let MLflow refuse to write to a run that was deleted by hand; its messages would otherwise wait for ever."""
    try:
        yield
    except MlflowException as error:
        if not was_deleted(error):
            raise
        log.info("run %s was deleted by hand, and is left alone", run_id)


def was_deleted(error: MlflowException) -> bool:
    """Return whether MLflow refuses a request because its run was deleted."""
    is_deleted = error.error_code == "INVALID_PARAMETER_VALUE" and "must be in the 'active' state" in str(error)
    return is_deleted or error.error_code == "RESOURCE_DOES_NOT_EXIST"


@contextmanager
def _without_retries() -> Iterator[None]:
    """Let MLflow's client send a request once: a second `create_run`, after a lost answer, would make a second run."""
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
