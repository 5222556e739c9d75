"""Writes runs to an MLflow: what there is to say of one is a `RunNews`, told at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from mlflow.entities import DatasetInput, Metric, Param, RunTag
from mlflow.tracking import MlflowClient

__all__ = ["ClientWriter", "RunNews", "RunWriter"]

METRICS_A_BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class RunNews:
    """What is new of a run. Points are finite. ended_at: milliseconds since 1970, with the `status` it ended with."""

    points: Sequence[Metric] = ()
    params: Sequence[Param] = ()
    tags: Sequence[RunTag] = ()
    dataset: DatasetInput | None = None
    status: str | None = None
    ended_at: int | None = None


class RunWriter(Protocol):
    """Writing may be repeated: MLflow stores a point, a parameter and a data set once."""

    trials_at_once: int
    """Of how many it is best to write `together`."""

    def together(self) -> AbstractContextManager[None]:
        """What is written inside is there once this ends without an error; some of it may be where it does not."""

    def create(self, experiment_id: str, tags: Mapping[str, str], started: int | None, news: RunNews) -> str:
        """Make a run, which runs from `started` on, and tell of it; returns its id."""

    def write(self, run_id: str, news: RunNews) -> None:
        """Tell of a run that is there."""


class ClientWriter:
    """Through MLflow's client: any MLflow, in several requests."""

    trials_at_once = 1

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def create(self, experiment_id: str, tags: Mapping[str, str], started: int | None, news: RunNews) -> str:
        with _asked_once():
            run = self._client.create_run(
                experiment_id, start_time=started, tags=dict(tags), run_name=tags["mlflow.runName"]
            )
        self.write(run.info.run_id, news)
        return str(run.info.run_id)

    def write(self, run_id: str, news: RunNews) -> None:
        """One batch, or as many as MLflow's limit on metrics asks for; params and tags go with the first."""
        if news.status is not None and news.ended_at is None:
            self._client.update_run(run_id, status=news.status)
        if news.dataset is not None:
            self._client.log_inputs(run_id, datasets=[news.dataset])
        points = list(news.points)
        self._client.log_batch(run_id, metrics=points[:METRICS_A_BATCH], params=news.params, tags=news.tags)
        for start in range(METRICS_A_BATCH, len(points), METRICS_A_BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + METRICS_A_BATCH])
        if news.ended_at is not None:
            self._client.set_terminated(run_id, status=news.status, end_time=news.ended_at)


@contextmanager
def _asked_once() -> Iterator[None]:
    """MLflow's client sends a request again by itself when its answer is lost: of a new run it would make two."""
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
