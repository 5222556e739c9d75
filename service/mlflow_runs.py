"""Writes runs to MLflow: through its client, or many times quicker into a store of this machine."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from mlflow.entities import DatasetInput, LifecycleStage, Metric, Param, RunStatus, RunTag, SourceType
from mlflow.store.tracking.dbmodels import models
from mlflow.tracking import MlflowClient
from mlflow.utils.uri import append_to_uri_path
from sqlalchemy import Engine, Table, create_engine, event, select, tuple_, update
from sqlalchemy.dialects.sqlite import insert

METRICS_A_BATCH = 1000


class Runs(ABC):
    """What every trial asks of MLflow.

    Contract: each call but `create` may be repeated and has the effect of one. Points are finite numbers. Raises
    MlflowException, SQLAlchemy's errors or what the network raises when MLflow does not take it. One thread at a time.
    """

    @abstractmethod
    def create(self, experiment_id: str, *, name: str, tags: Mapping[str, str], started: int | None) -> str:
        """A new run's id; `started` in UTC milliseconds."""

    @abstractmethod
    def add_dataset(self, run_id: str, experiment_id: str, dataset: DatasetInput) -> None:
        """Say what data the run is of."""

    @abstractmethod
    def log(self, run_id: str, points: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]) -> None:
        """Add to the run; at most 100 params and 100 tags."""

    @abstractmethod
    def end(self, run_id: str, status: str, at: int) -> None:
        """Close the run with a status such as FINISHED; `at` in UTC milliseconds."""


class ClientRuns(Runs):
    """Through MLflow's client, wherever its store is."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def create(self, experiment_id: str, *, name: str, tags: Mapping[str, str], started: int | None) -> str:
        run = self._client.create_run(experiment_id, start_time=started, tags=dict(tags), run_name=name)
        return str(run.info.run_id)

    def add_dataset(self, run_id: str, experiment_id: str, dataset: DatasetInput) -> None:
        self._client.log_inputs(run_id, datasets=[dataset])

    def log(self, run_id: str, points: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]) -> None:
        """One batch, or as many as MLflow's limit on metrics asks for; params and tags go with the first."""
        self._client.log_batch(run_id, metrics=points[:METRICS_A_BATCH], params=params, tags=tags)
        for start in range(METRICS_A_BATCH, len(points), METRICS_A_BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + METRICS_A_BATCH])

    def end(self, run_id: str, status: str, at: int) -> None:
        self._client.set_terminated(run_id, status=status, end_time=at)


def _table(model: type[Any]) -> Table:
    return cast(Table, model.__table__)


_RUNS, _TAGS, _PARAMS = _table(models.SqlRun), _table(models.SqlTag), _table(models.SqlParam)
_METRICS, _LATEST = _table(models.SqlMetric), _table(models.SqlLatestMetric)
_DATASETS, _INPUTS = _table(models.SqlDataset), _table(models.SqlInput)
_INPUT_TAGS, _EXPERIMENTS = _table(models.SqlInputTag), _table(models.SqlExperiment)


class StoreRuns(Runs):
    """Straight into an SQLite store of MLflow's on this machine, with the tables of the installed MLflow.

    MLflow's own store makes an object of every point and asks the database for each call some ten times; for the 240
    points of a trial of 20 epochs that is most of what a short trial costs. This writes the same rows in a few
    statements. The store must exist, with the installed MLflow's schema, and hold the experiment; a data set that it
    does not know is added through `client`.
    """

    def __init__(self, store: Path, client: MlflowClient) -> None:
        self._engine: Engine = create_engine(f"sqlite:///{store}", connect_args={"timeout": 30})
        event.listen(self._engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=NORMAL"))
        self._client = client
        self._dataset = cache(self._find_dataset)
        self._location = cache(self._find_location)

    def create(self, experiment_id: str, *, name: str, tags: Mapping[str, str], started: int | None) -> str:
        run_id = uuid.uuid4().hex
        row = {
            "run_uuid": run_id,
            "name": name,
            "experiment_id": int(experiment_id),
            "artifact_uri": append_to_uri_path(self._location(experiment_id), run_id, "artifacts"),
            "status": RunStatus.to_string(RunStatus.RUNNING),
            "start_time": started,
            "lifecycle_stage": LifecycleStage.ACTIVE,
            "user_id": "unknown",
            "source_type": SourceType.to_string(SourceType.UNKNOWN),
            **dict.fromkeys(("source_name", "entry_point_name", "source_version"), ""),
        }
        named = {"mlflow.runName": name, **tags}
        with self._engine.begin() as connection:
            connection.execute(insert(_RUNS), row)
            connection.execute(insert(_TAGS), [{"run_uuid": run_id, "key": k, "value": v} for k, v in named.items()])
        return run_id

    def add_dataset(self, run_id: str, experiment_id: str, dataset: DatasetInput) -> None:
        known = self._dataset(experiment_id, dataset.dataset.name, dataset.dataset.digest)
        if known is None:
            self._dataset.cache_clear()
            self._client.log_inputs(run_id, datasets=[dataset])
            return
        input_id = uuid.uuid4().hex
        row = {
            "input_uuid": input_id,
            "source_type": "DATASET",
            "source_id": known,
            "destination_type": "RUN",
            "destination_id": run_id,
        }
        tags = [{"input_uuid": input_id, "name": tag.key, "value": tag.value} for tag in dataset.tags]
        with self._engine.begin() as connection:
            if connection.execute(insert(_INPUTS).on_conflict_do_nothing(), row).rowcount and tags:
                connection.execute(insert(_INPUT_TAGS), tags)

    def log(self, run_id: str, points: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]) -> None:
        rows = [_point(run_id, point) for point in points]
        latest: dict[str, dict[str, Any]] = {}
        for row in rows:
            if row["key"] not in latest or _recency(row) > _recency(latest[row["key"]]):
                latest[row["key"]] = row
        with self._engine.begin() as connection:
            if params:
                given = [{"run_uuid": run_id, "key": param.key, "value": param.value} for param in params]
                connection.execute(insert(_PARAMS).on_conflict_do_nothing(), given)
            if rows:
                connection.execute(insert(_METRICS).on_conflict_do_nothing(), rows)
                connection.execute(_KEEP_LATEST, list(latest.values()))
            if tags:
                told = [{"run_uuid": run_id, "key": tag.key, "value": tag.value} for tag in tags]
                connection.execute(_SET_TAG, told)

    def end(self, run_id: str, status: str, at: int) -> None:
        query = update(_RUNS).where(_RUNS.c.run_uuid == run_id)
        with self._engine.begin() as connection:
            connection.execute(query, {"status": status, "end_time": at})

    def _find_dataset(self, experiment_id: str, name: str, digest: str) -> str | None:
        d = _DATASETS.c
        query = select(d.dataset_uuid).where(d.experiment_id == int(experiment_id), d.name == name, d.digest == digest)
        with self._engine.connect() as connection:
            return connection.scalar(query)

    def _find_location(self, experiment_id: str) -> str:
        e = _EXPERIMENTS.c
        with self._engine.connect() as connection:
            location = connection.scalar(select(e.artifact_location).where(e.experiment_id == int(experiment_id)))
        return str(location)


def _point(run_id: str, point: Metric) -> dict[str, Any]:
    return {
        "run_uuid": run_id,
        "key": point.key,
        "value": point.value,
        "timestamp": point.timestamp,
        "step": point.step,
        "is_nan": False,
    }


def _recency(row: Mapping[str, Any]) -> tuple[int, int, float]:
    return row["step"], row["timestamp"], row["value"]


_NEW_LATEST = insert(_LATEST)
_KEEP_LATEST = _NEW_LATEST.on_conflict_do_update(
    index_elements=["key", "run_uuid"],
    set_={name: _NEW_LATEST.excluded[name] for name in ("value", "timestamp", "step", "is_nan")},
    where=tuple_(*(_NEW_LATEST.excluded[name] for name in ("step", "timestamp", "value")))
    > tuple_(_LATEST.c.step, _LATEST.c.timestamp, _LATEST.c.value),
)
_NEW_TAG = insert(_TAGS)
_SET_TAG = _NEW_TAG.on_conflict_do_update(
    index_elements=["key", "run_uuid"], set_={"value": _NEW_TAG.excluded["value"]}
)
