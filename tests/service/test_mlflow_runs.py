"""Both ways to MLflow leave the same behind, however often they are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.tracking import MlflowClient

from service.mlflow_runs import ClientRuns, Runs, StoreRuns
from service.tracking import use_write_ahead_log

DATASET = DatasetInput(
    Dataset(name="cells", digest="1", source_type="local", source="{}", profile="{}"),
    tags=[InputTag("mlflow.data.context", "training")],
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    use_write_ahead_log(store)
    return store


@pytest.fixture(scope="module")
def client(store: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{store}")


@pytest.fixture(scope="module")
def experiment(client: MlflowClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(client.create_experiment("cells", artifact_location=tmp_path_factory.mktemp("artifacts").as_uri()))


@pytest.fixture(scope="module", params=["client", "store"])
def run(request: pytest.FixtureRequest, client: MlflowClient, store: Path, experiment: str) -> Run:
    """A run of two reports and an end, each of which arrives twice, the first once more after the second."""
    runs: Runs = ClientRuns(client) if request.param == "client" else StoreRuns(store, client)
    run_id = runs.create(experiment, name="t-0", tags={"kind": "trial", "state": "running"}, started=5)
    first = [Metric("val/accuracy", 0.5 + step / 10, 100 + step, step) for step in (1, 2)]
    second = [Metric("val/accuracy", 0.6, 103, 3), Metric("best/epoch", 2.0, 103, 3)]
    for points in (first, first, second, second, first):
        runs.add_dataset(run_id, experiment, DATASET)
        runs.log(run_id, points, [Param("optimizer.lr", "0.1")], [RunTag("state", f"after {points[-1].step}")])
    runs.log(run_id, [], [], [RunTag("state", "completed")])
    for _ in range(2):
        runs.end(run_id, "FINISHED", 200)
    return client.get_run(run_id)


def test_the_latest_point_of_each_metric_is_shown(run: Run) -> None:
    assert run.data.metrics == {"val/accuracy": 0.6, "best/epoch": 2.0}


def test_each_point_is_kept_once(run: Run, client: MlflowClient) -> None:
    history = client.get_metric_history(run.info.run_id, "val/accuracy")
    assert sorted((point.step, point.value, point.timestamp) for point in history) == [
        (1, 0.6, 101),
        (2, 0.7, 102),
        (3, 0.6, 103),
    ]


def test_the_run_carries_its_name_params_tags_and_times(run: Run, experiment: str) -> None:
    assert run.data.params == {"optimizer.lr": "0.1"}
    assert run.data.tags == {"mlflow.runName": "t-0", "kind": "trial", "state": "completed"}
    info: Any = run.info
    assert (info.run_name, info.status, info.start_time, info.end_time) == ("t-0", "FINISHED", 5, 200)
    assert (info.experiment_id, info.lifecycle_stage, info.user_id) == (experiment, "active", "unknown")
    assert info.artifact_uri.endswith(f"/{info.run_id}/artifacts")


def test_the_data_set_is_an_input_once(run: Run) -> None:
    [given] = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("cells", "1")
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]


def test_the_client_finds_it_by_its_tags(run: Run, client: MlflowClient, experiment: str) -> None:
    found = client.search_runs([experiment], filter_string="tags.kind = 'trial' and metrics.`best/epoch` = 2")
    assert run.info.run_id in {one.info.run_id for one in found}
