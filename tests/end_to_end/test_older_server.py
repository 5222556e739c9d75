"""A sweep whose runs are sent to a real server of MLflow 2.22, which has no logged models."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from search_spaces import parse_spec
from service.clocks import now_ms
from service.ledgers import Ledger
from service.models.logged import tracking_to
from service.runs.runner import Outcome
from service.settings import Home
from service.tracking import Sender, free_port
from service.tracking.trackers import Tracker
from service.upkeep import Level, Surroundings
from service.upkeep.checks.mlflow_store import check_mlflow_store
from trainables.stores.prepared import prepare_data

PACKAGES = ("mlflow==2.22.2", "mlflow-skinny==2.22.2", "sqlalchemy==2.0.44", "protobuf==6.33.6")
"""The server, and two packages in versions that it works with; the rest comes from this environment."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server; installing takes some 100 MB, and seconds if uv has the packages."""
    folder = tmp_path_factory.mktemp("mlflow2")
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
    result = subprocess.run(
        [*install, "--target", str(folder / "packages"), *PACKAGES], capture_output=True, text=True, check=False
    )
    if result.returncode:
        pytest.skip(f"MLflow 2.22 cannot be installed here: {result.stderr.strip().splitlines()[-1]}")
    address = f"127.0.0.1:{free_port(0)}"
    host, port = address.split(":")
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", host, "--port", port),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")),
    ]
    environment = os.environ | {"PYTHONPATH": str(folder / "packages")}
    log = folder / "log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, cwd=folder, start_new_session=True
        ) as process,
    ):
        try:
            _wait(f"http://{address}", process, log)
            yield f"http://{address}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # its server, gunicorn, would go on without it


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), urllib.request.urlopen(f"{address}/version", timeout=2) as answer:
            assert answer.read() == b"2.22.2"
            return
        time.sleep(0.3)
    pytest.fail(log.read_text())


@pytest.fixture
def place(server: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose ledger is a copy of the session's, of which nothing was sent yet."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    other = Home(tmp_path / "home").create()
    with closing(sqlite3.connect(home.ledger)) as source, closing(sqlite3.connect(other.ledger)) as copy:
        source.backup(copy)
        copy.execute("UPDATE outbox SET sent_at = NULL, tries = 0, error = NULL")
        copy.execute("UPDATE sweeps SET registered = NULL")
        copy.commit()
    return other


@pytest.mark.slow
def test_a_sweep_has_its_model_registered_by_a_server_without_logged_models(
    finished_sweep: Outcome, place: Home, home: Home
) -> None:
    (finding,) = check_mlflow_store(Surroundings(home=place, home_from="--home", environment={}))
    assert finding.level is Level.OK
    assert "answers, as MLflow 2.22.2, which keeps models as artifacts of their runs" in finding.text
    sweep_id = finished_sweep.sweep.id
    with closing(Ledger.open(place, clock=now_ms)) as ledger:
        for _ in range(2):  # the second time everything is there already
            sender = Sender(ledger, sweep_id, lambda: Tracker(ledger, place), backlog_lock=place.backlog_lock).start()
            assert sender.finish(120) == 0, sender.last_error
            with closing(sqlite3.connect(place.ledger)) as again:
                again.execute("UPDATE outbox SET sent_at = NULL WHERE kind IN ('model', 'candidate')")
                again.commit()
        sweep = ledger.sweeps.get(sweep_id)
        best = ledger.trials.get(finished_sweep.board.best.id if finished_sweep.board.best else "")
    assert sweep.registered is not None
    assert (sweep.registered["uri"], sweep.registered["version"]) == ("models:/tiny@candidate", "1")
    client = MlflowClient(tracking_uri=place.tracking_uri)
    version = client.get_model_version_by_alias("tiny", "candidate")
    assert (version.run_id, version.source) == (best.mlflow_run_id, f"runs:/{best.mlflow_run_id}/model")
    assert len(client.search_model_versions("name = 'tiny'")) == 1
    spec = parse_spec(sweep.spec_text, file=sweep.spec_file)
    data = prepare_data(spec.data, base_dir=Path(spec.file).parent, root=home.data)
    rows = data.splits["test"]
    with tracking_to(place.tracking_uri):
        model = mlflow.pyfunc.load_model("models:/tiny@candidate")
    right = np.asarray(model.predict(data.images[rows])).argmax(1) == data.labels[rows]
    assert client.get_run(str(version.run_id)).data.metrics["test/accuracy"] == pytest.approx(right.mean())
