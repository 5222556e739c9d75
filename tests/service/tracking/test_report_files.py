"""The report among the files of a sweep's run in MLflow."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from service.ledgers import Ledger, MessageKind, Sweep
from service.settings import Home
from service.sweep_reports import render_report
from service.tracking.trackers import REPORT_FILE
from tests.tracked_sweeps import deliver_all, mixed_sweep


@pytest.fixture(scope="module")
def sweep(ledger: Ledger, place: Home) -> Sweep:
    sweep = mixed_sweep(ledger)
    deliver_all(ledger, place)
    return ledger.sweeps.get(sweep.id)


def written_report(place: Home, sweep: Sweep, folder: Path) -> str:
    assert sweep.mlflow is not None
    client = MlflowClient(tracking_uri=place.tracking_uri)
    return Path(client.download_artifacts(sweep.mlflow["run_id"], REPORT_FILE, str(folder))).read_text()


def test_an_ended_sweep_has_its_report_on_its_run(ledger: Ledger, place: Home, sweep: Sweep, tmp_path: Path) -> None:
    page = written_report(place, sweep, tmp_path)
    assert page == render_report(ledger, sweep, images=place.data)
    assert "The prepared images are gone" in page


def test_the_report_is_the_last_message_of_an_ended_sweep_and_may_be_sent_again(
    ledger: Ledger, place: Home, sweep: Sweep, tmp_path: Path
) -> None:
    ledger.outbox.put(sweep.id, MessageKind.REPORT, {})
    (message,) = ledger.outbox.unsent(sweep.id)
    assert message.stream != sweep.id, "a report that is not taken holds up nothing of the sweep"
    deliver_all(ledger, place)
    assert written_report(place, sweep, tmp_path).startswith("<!doctype html>")


def test_a_report_that_cannot_be_made_is_left_out(ledger: Ledger, place: Home) -> None:
    """Damaged rows of the ledger must not keep the sweep's messages back for ever."""
    other = mixed_sweep(ledger, name="damaged")
    ledger.sweeps.note(other.id, confirmation={"decision": None})
    deliver_all(ledger, place)
    assert ledger.outbox.unsent(other.id) == []
