"""Updates of runs that break off and are repeated."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from service.ledgers import Ledger
from service.settings import Home
from service.tracking.run_writers import RunUpdate, RunWriter
from tests.tracked_sweeps import deliver_all, mixed_sweep


class BrokenOffError(Exception):
    """The network ends a request."""


class CountingClient(MlflowClient):
    """A client that counts the updates of runs, and breaks off at one of them."""

    def __init__(self, uri: str, *, breaks_at: int) -> None:
        super().__init__(tracking_uri=uri)
        self.batches = 0
        self.texts = 0
        self._breaks_at = breaks_at

    def log_batch(self, *args: object, **kwargs: object) -> None:
        self.batches += 1
        if self.batches == self._breaks_at:
            raise BrokenOffError
        super().log_batch(*args, **kwargs)  # type: ignore[arg-type]

    def log_text(self, *args: object, **kwargs: object) -> None:
        self.texts += 1
        super().log_text(*args, **kwargs)  # type: ignore[arg-type]


@pytest.fixture
def run_ids(place: Home, ledger: Ledger) -> list[str]:
    """Runs of the trials of a sweep."""
    sweep = mixed_sweep(ledger, trials=5, name="written")
    deliver_all(ledger, place)
    return [trial.mlflow_run_id for trial in ledger.trials.list(sweep.id) if trial.mlflow_run_id]


def test_a_repeated_delivery_goes_on_where_it_broke_off(place: Home, run_ids: list[str]) -> None:
    client = CountingClient(place.tracking_uri, breaks_at=4)
    runs = RunWriter(client)

    def deliver() -> None:
        for number, run_id in enumerate(run_ids):
            runs.log_text(run_id, "a note", "note.txt")
            runs.write(run_id, RunUpdate(metrics=[Metric("place", number, 1, 0)]))

    with pytest.raises(BrokenOffError):
        deliver()
    deliver()
    assert client.batches == len(run_ids) + 1
    assert client.texts == len(run_ids)
    assert [client.get_run(run_id).data.metrics["place"] for run_id in run_ids] == list(range(len(run_ids)))


def test_an_update_that_changes_is_written_again(place: Home, run_ids: list[str], tmp_path: Path) -> None:
    client = CountingClient(place.tracking_uri, breaks_at=0)
    runs = RunWriter(client)
    for step, value in enumerate([1.0, 2.0, 1.0]):
        runs.write(run_ids[0], RunUpdate(metrics=[Metric("place", value, 1 + step, step)]))
    assert [point.value for point in client.get_metric_history(run_ids[0], "place")] == [1.0, 2.0, 1.0]
    for text in ("first", "second", "first"):
        runs.log_text(run_ids[0], text, "note.txt")
    assert Path(client.download_artifacts(run_ids[0], "note.txt", str(tmp_path))).read_text() == "first"
