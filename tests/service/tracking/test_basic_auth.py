"""A real server of MLflow that asks for a user name and a password, with its runs in PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from service.ledgers import Ledger
from service.settings import Home
from service.tracking import free_port
from service.tracking.trackers import Tracker
from service.upkeep import Finding, Level, Surroundings
from service.upkeep.checks.mlflow_store import check_mlflow_store
from tests.databases import MakePostgresql
from tests.tracked_sweeps import Clock, deliver_all, mixed_sweep

USER, PASSWORD = "admin", "a-password-of-twenty"
CREDENTIALS = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}


@pytest.fixture(scope="module")
def server(new_postgresql: MakePostgresql, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server, which answers for the host name 127.0.0.1 alone."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\nadmin_username = {USER}\n"
        f"admin_password = {PASSWORD}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    port = free_port(0)
    environment = os.environ | {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "for tests",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", str(port), "--allowed-hosts", f"127.0.0.1:{port}"),
        *("--backend-store-uri", new_postgresql(), "--artifacts-destination", (folder / "artifacts").as_uri()),
    ]
    log = folder / "log"
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output, env=environment) as process:
        try:
            _wait(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=2):
            return
        time.sleep(0.3)
    pytest.fail(log.read_text())


@pytest.fixture
def home(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return Home(tmp_path / "home").create()


def ask(home: Home, **environment: str) -> Finding:
    (finding,) = check_mlflow_store(Surroundings(home=home, home_from="--home", environment=environment))
    return finding


def test_doctor_is_content_only_with_credentials(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with urllib.request.urlopen(f"{home.tracking_uri}/health", timeout=10) as answer:
        assert answer.status == 200, "health alone proves nothing"
    without = ask(home)
    assert (without.level, without.text) == (Level.PROBLEM, f"{home.tracking_uri} asks who you are (401)")
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN" in without.advice
    wrong = ask(home, **CREDENTIALS | {"MLFLOW_TRACKING_PASSWORD": "guessed"})
    assert wrong.level is Level.PROBLEM
    assert "refuses the user name and password" in wrong.text
    assert "guessed" not in wrong.text + wrong.advice
    right = ask(home, **CREDENTIALS)
    assert right.level is Level.OK
    assert right.text.startswith(f"{home.tracking_uri} answers, as MLflow 3.")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", home.tracking_uri.replace("127.0.0.1", "localhost"))
    forbidden = ask(home, **CREDENTIALS)
    assert forbidden.level is Level.PROBLEM
    assert "refuses requests (403)" in forbidden.text
    assert "--allowed-hosts" in forbidden.advice


def test_a_sweep_needs_the_credentials_and_then_has_the_same_runs_as_the_ledger(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.open(home, clock=Clock())
    sweep = mixed_sweep(ledger)
    with pytest.raises(MlflowException, match="not authenticated"):
        deliver_all(ledger, home)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    deliver_all(ledger, home, Tracker(ledger, home))
    sweep = ledger.sweeps.get(sweep.id)
    assert sweep.mlflow is not None
    client = MlflowClient(tracking_uri=home.tracking_uri)
    runs = client.search_runs([sweep.mlflow["experiment_id"]])
    trials = ledger.trials.list(sweep.id)
    assert Counter(run.data.tags["meltpoint.kind"] for run in runs) == {"trial": len(trials), "sweep": 1}
    assert not [run.info.run_name for run in runs if run.info.status == "RUNNING"]
    by_trial = {run.data.tags.get("meltpoint.trial_id"): run for run in runs}
    for trial in trials:
        run = by_trial[trial.id]
        points = client.get_metric_history(run.info.run_id, "val/accuracy") if trial.epochs else []
        assert [point.step for point in points] == list(range(1, trial.epochs + 1))
    files = {file.path for file in client.list_artifacts(sweep.mlflow["run_id"])}
    assert {"trials.csv", "leaderboard", "environment", "spec", "report.html"} <= files
    ledger.close()
