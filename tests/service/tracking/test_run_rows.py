"""Rows written at once are the rows that MLflow's own client writes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from service.runs.runner import Outcome
from service.settings import Home
from service.tracking.run_rows import RowWriter
from service.tracking.run_writers import ClientWriter, RunNews, RunWriter

TAGS = {"mlflow.runName": "a trial", "meltpoint.state": "running", "meltpoint.kind": "trial"}

WITHOUT_IDS = {
    "run": "select name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,"
    " deleted_time, source_version, lifecycle_stage, experiment_id, replace(artifact_uri, :run, '') from runs",
    "tags": "select key, value from tags",
    "params": "select key, value from params",
    "points": "select key, value, timestamp, step, is_nan, typeof(value) from metrics",
    "latest": "select key, value, timestamp, step, is_nan, typeof(value) from latest_metrics",
    "data sets": "select source_type, destination_type, step, d.name, d.digest, d.dataset_source_type,"
    " d.dataset_source, d.dataset_schema, d.dataset_profile, t.name, t.value from inputs i"
    " join datasets d on d.dataset_uuid = i.source_id join input_tags t on t.input_uuid = i.input_uuid",
}

_WORDS = st.sampled_from(["a", "b", "val/loss"])
_POINTS = st.builds(
    Metric,
    key=_WORDS,
    value=st.sampled_from([0.0, 0.5, 1, -2.5, 1e300]),
    timestamp=st.integers(0, 2),
    step=st.integers(0, 2),
)
_DATASETS = st.builds(
    lambda digest: DatasetInput(
        Dataset("cells", digest, "local", "{}", profile="{}"), [InputTag("mlflow.data.context", "training")]
    ),
    st.sampled_from(["1", "2"]),
)
_NEWS = st.builds(
    RunNews,
    points=st.lists(_POINTS, max_size=6),
    params=st.just([Param("dropout.rate", "0.5"), Param("optimizer.name", "sgd")]) | st.just(()),
    tags=st.lists(st.builds(RunTag, _WORDS, st.sampled_from(["x", "y"])), max_size=3),
    dataset=st.none() | _DATASETS,
) | st.just(RunNews(status="RUNNING"))
_ENDINGS = st.builds(RunNews, status=st.sampled_from(["FINISHED", "FAILED", "KILLED"]), ended_at=st.integers(1, 9))


@pytest.fixture(scope="module")
def client(home: Home, finished_sweep: Outcome) -> MlflowClient:
    return MlflowClient(home.local_tracking_uri)


@pytest.fixture(scope="module")
def experiment(client: MlflowClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("artifacts").as_uri()
    return str(client.create_experiment("rows", artifact_location=place))


def _stored(home: Home, run_id: str) -> dict[str, list[tuple[object, ...]]]:
    column = {"data sets": "destination_id"}
    with closing(sqlite3.connect(home.mlflow_store)) as store:
        return {
            name: sorted(store.execute(f"{query} where {column.get(name, 'run_uuid')} = :run", {"run": run_id}))
            for name, query in WITHOUT_IDS.items()
        }


@given(first=_NEWS, later=st.lists(_NEWS, max_size=3), ending=_ENDINGS, again=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_leave_the_same_rows(
    home: Home,
    client: MlflowClient,
    experiment: str,
    first: RunNews,
    later: list[RunNews],
    ending: RunNews,
    again: bool,
) -> None:
    writers: tuple[RunWriter, ...] = (RowWriter(home.mlflow_store, client), ClientWriter(client))
    stored = []
    for writer in writers:
        run_id = writer.create(experiment, TAGS, 17, first)
        for news in [*later, ending] * (2 if again else 1):
            writer.write(run_id, news)
        stored.append(_stored(home, run_id))
    assert stored[0] == stored[1]


def test_a_run_made_and_ended_at_once_is_mlflows(home: Home, client: MlflowClient, experiment: str) -> None:
    news = RunNews(points=[Metric("a", 0.5, 3, 1)], tags=[RunTag("meltpoint.state", "completed")])
    ended = RunNews(points=news.points, tags=news.tags, status="FINISHED", ended_at=21)
    run = client.get_run(RowWriter(home.mlflow_store, client).create(experiment, TAGS, 17, ended))
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", 17, 21)
    assert run.data.tags == TAGS | {"meltpoint.state": "completed"}
    assert run.data.metrics == {"a": 0.5}
    client.log_text(run.info.run_id, "x", "error.txt")
    (found,) = client.list_artifacts(run.info.run_id)
    assert found.path == "error.txt"
    assert (
        client.get_run(run.info.run_id).info.artifact_uri == f"{_place(client, experiment)}/{run.info.run_id}/artifacts"
    )


def test_what_cannot_be_written_whole_is_not_written(home: Home, client: MlflowClient, experiment: str) -> None:
    writer = RowWriter(home.mlflow_store, client)
    run_id = writer.create(experiment, TAGS, 17, RunNews())
    before = _stored(home, run_id)
    broken = RunNews(
        points=[Metric("a", 0.5, 3, 1)], params=[Param("b", cast("str", None))], status="FINISHED", ended_at=21
    )
    with pytest.raises(SQLAlchemyError):
        writer.write(run_id, broken)
    with pytest.raises(SQLAlchemyError):
        writer.write("a run that was never made", RunNews(points=[Metric("a", 0.5, 3, 1)]))
    assert _stored(home, run_id) == before


def test_what_is_written_together_is_there_whole_or_not_at_all(
    home: Home, client: MlflowClient, experiment: str
) -> None:
    writer = RowWriter(home.mlflow_store, client)
    point = RunNews(points=[Metric("a", 0.5, 3, 1)])
    with writer.together():
        first, second = (writer.create(experiment, TAGS, 17, point) for _ in range(2))
        writer.write(first, RunNews(status="FINISHED", ended_at=21))
        assert not _stored(home, second)["run"]
    assert client.get_run(first).info.status == "FINISHED"
    assert client.get_run(second).data.metrics == {"a": 0.5}
    made = []

    def failing() -> None:
        with writer.together():
            made.append(writer.create(experiment, TAGS, 17, point))
            writer.write("a run that was never made", point)

    with pytest.raises(SQLAlchemyError):
        failing()
    assert not _stored(home, made[0])["run"]
    writer.write(second, RunNews(status="KILLED", ended_at=22))
    assert client.get_run(second).info.status == "KILLED"


def _place(client: MlflowClient, experiment: str) -> str:
    return str(client.get_experiment(experiment).artifact_location)
