"""Writes runs to a home's own MLflow store as rows of its tables, all that is new of a run, or of several, at once.

MLflow's client makes an object, a validation and several look-ups of each value: a trial of 240 points takes it about
30 ms of a core, which is longer than a head trains for an epoch. `benchmarks/noop.py` shows both.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from mlflow.entities import DatasetInput, LifecycleStage, Metric
from mlflow.store.tracking.dbmodels.models import (
    SqlDataset,
    SqlInput,
    SqlInputTag,
    SqlLatestMetric,
    SqlMetric,
    SqlParam,
    SqlRun,
    SqlTag,
)
from mlflow.tracking import MlflowClient
from mlflow.utils.uri import append_to_uri_path
from sqlalchemy import Connection, create_engine, event, insert, select, tuple_, update
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as insert_in_sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from service.tracking.run_writers import RunNews

__all__ = ["RowWriter"]

_BUSY_SECONDS = 20
"""For which MLflow itself waits for another writer."""

_RUNS, _TAGS, _PARAMS, _METRICS, _LATEST, _DATASETS, _INPUTS, _INPUT_TAGS = (
    model.__table__
    for model in (SqlRun, SqlTag, SqlParam, SqlMetric, SqlLatestMetric, SqlDataset, SqlInput, SqlInputTag)
)

Row = dict[str, Any]


def _set_tag() -> Insert:
    statement = insert_in_sqlite(_TAGS)
    return statement.on_conflict_do_update(set_={"value": statement.excluded.value})


def _set_latest() -> Insert:
    """Where there is a value, of the two the one of the later step stays; of equal ones the later, or larger."""
    statement = insert_in_sqlite(_LATEST)
    order = ("step", "timestamp", "value")
    later = tuple_(*(statement.excluded[name] for name in order)) > tuple_(*(_LATEST.c[name] for name in order))
    return statement.on_conflict_do_update(set_={name: statement.excluded[name] for name in order}, where=later)


_SET_TAG, _SET_LATEST = _set_tag(), _set_latest()
_ADD_PARAM, _ADD_POINT, _ADD_DATASET, _ADD_INPUT = (
    insert_in_sqlite(table).on_conflict_do_nothing() for table in (_PARAMS, _METRICS, _DATASETS, _INPUTS)
)


class RowWriter:
    """A `RunWriter` for a SQLite file whose tables MLflow has made.

    What is written twice is stored once, as with MLflow's client; the tables hold the same rows.
    Thread safety: one thread at a time. Raises SQLAlchemyError where the file cannot be written.
    """

    trials_at_once = 16
    """Meanwhile nobody else can write to the store: some 50 ms."""

    def __init__(self, store: Path, client: MlflowClient) -> None:
        self._client = client
        self._artifacts: dict[str, str] = {}
        """Experiment -> where the files of its runs go."""
        self._open: Connection | None = None
        """The transaction that `together` has begun."""
        self._engine = create_engine(f"sqlite:///{store}", connect_args={"timeout": _BUSY_SECONDS})
        event.listen(self._engine, "connect", _check_references)

    @contextmanager
    def together(self) -> Iterator[None]:
        """All or nothing of it: one transaction."""
        with self._engine.begin() as self._open:
            try:
                yield
            finally:
                self._open = None

    def create(self, experiment_id: str, tags: Mapping[str, str], started: int | None, news: RunNews) -> str:
        run_id = uuid.uuid4().hex
        row = {
            "run_uuid": run_id,
            "name": tags["mlflow.runName"],
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "source_version": "",
            "user_id": "unknown",
            "status": news.status or "RUNNING",
            "start_time": started or time.time_ns() // 1_000_000,
            "end_time": news.ended_at,
            "lifecycle_stage": LifecycleStage.ACTIVE,
            "artifact_uri": append_to_uri_path(self._artifacts_of(experiment_id), run_id, "artifacts"),
            "experiment_id": int(experiment_id),
        }
        with self._transaction() as connection:
            connection.execute(insert(_RUNS), row)
            _write(connection, run_id, int(experiment_id), dict(tags), news)
        return run_id

    def write(self, run_id: str, news: RunNews) -> None:
        known = select(_RUNS.c.experiment_id).where(_RUNS.c.run_uuid == run_id)
        with self._transaction() as connection:
            experiment_id = connection.scalars(known).one()
            if news.status is not None:
                ended = {} if news.ended_at is None else {"end_time": news.ended_at}
                changed = update(_RUNS).where(_RUNS.c.run_uuid == run_id).values(status=news.status, **ended)
                connection.execute(changed)
            _write(connection, run_id, experiment_id, {}, news)

    def _transaction(self) -> AbstractContextManager[Connection]:
        return self._engine.begin() if self._open is None else nullcontext(self._open)

    def _artifacts_of(self, experiment_id: str) -> str:
        if experiment_id not in self._artifacts:
            self._artifacts[experiment_id] = self._client.get_experiment(experiment_id).artifact_location
        return self._artifacts[experiment_id]


def _write(connection: Connection, run_id: str, experiment_id: int, tags: Mapping[str, str], news: RunNews) -> None:
    """All but the run's own row. tags: besides those of `news`, which count where both have one."""
    rows = [{"key": key, "value": value} for key, value in (dict(tags) | {t.key: t.value for t in news.tags}).items()]
    _put(connection, _SET_TAG, run_id, rows)
    _put(connection, _ADD_PARAM, run_id, [{"key": param.key, "value": param.value} for param in news.params])
    _put(connection, _ADD_POINT, run_id, [_point(metric) for metric in news.points])
    _put(connection, _SET_LATEST, run_id, [_point(metric) for metric in _latest(news.points)])
    if news.dataset is not None:
        _put_dataset(connection, run_id, experiment_id, news.dataset)


def _put(connection: Connection, statement: Insert, run_id: str, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(statement, [row | {"run_uuid": run_id} for row in rows])


def _point(metric: Metric) -> Row:
    names = ("key", "value", "timestamp", "step")
    return {name: getattr(metric, name) for name in names} | {"is_nan": False}


def _latest(points: Iterable[Metric]) -> list[Metric]:
    """Of each name the one of the last step; of equal ones the later, then the larger one."""
    found: dict[str, Metric] = {}
    for point in points:
        other = found.setdefault(point.key, point)
        if (point.step, point.timestamp, point.value) > (other.step, other.timestamp, other.value):
            found[point.key] = point
    return list(found.values())


def _put_dataset(connection: Connection, run_id: str, experiment_id: int, given: DatasetInput) -> None:
    dataset = given.dataset
    row = {
        "dataset_uuid": uuid.uuid4().hex,
        "experiment_id": experiment_id,
        "name": dataset.name,
        "digest": dataset.digest,
        "dataset_source_type": dataset.source_type,
        "dataset_source": dataset.source,
        "dataset_schema": dataset.schema,
        "dataset_profile": dataset.profile,
    }
    connection.execute(_ADD_DATASET, row)
    columns = _DATASETS.c
    same = (columns.experiment_id == experiment_id, columns.name == dataset.name, columns.digest == dataset.digest)
    edge = {
        "input_uuid": uuid.uuid4().hex,
        "source_type": "DATASET",
        "source_id": connection.scalars(select(columns.dataset_uuid).where(*same)).one(),
        "destination_type": "RUN",
        "destination_id": run_id,
    }
    added = connection.execute(_ADD_INPUT, edge).rowcount
    if added:
        tags = [{"input_uuid": edge["input_uuid"], "name": tag.key, "value": tag.value} for tag in given.tags]
        connection.execute(insert(_INPUT_TAGS), tags)


def _check_references(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """As MLflow does: SQLite itself does not look whether a run is there."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
