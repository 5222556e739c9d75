"""MLflow has every row of the ledger once, whatever faults the network has."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from search_spaces import Goal
from service.ledgers import Ending, EpochRow, Ledger, SweepState, TrialState
from service.settings import Home
from service.tracking import Sender
from service.tracking.trackers import Tracker
from service.upkeep import Level, Surroundings
from service.upkeep.checks.mlflow_store import check_mlflow_store
from tests.faults.programs import until
from tests.faults.proxies import Faults, flaky

Record = Callable[[str, object], None]

TRIALS, EPOCHS = 4, 5


class MlflowServer:
    """MLflow's own server at `address` (host:port), which tests start and stop."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._stores = [
            "--backend-store-uri",
            f"sqlite:///{folder}/mlflow.db",
            "--artifacts-destination",
            str(folder / "artifacts"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server unless it runs."""
        if self._process is not None:
            return
        host, _, port = self.address.partition(":")
        command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", port, "--workers", "1"]
        self._process = subprocess.Popen(
            [*command, *self._stores], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._answers, "MLflow's server is not up", 90)

    def stop(self) -> None:
        """Stop the server if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/health", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture(scope="module")
def any_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.stop()


@pytest.fixture
def absent_server(any_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> MlflowServer:
    """The stopped server that MLflow's client in this process connects to."""
    any_server.stop()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{any_server.address}")
    return any_server


@pytest.fixture
def server(any_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> MlflowServer:
    """The running server that MLflow's client in this process connects to."""
    any_server.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{any_server.address}")
    return any_server


@pytest.fixture(autouse=True)
def _quick_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MLflow's client give up soon, so that the sender tries again; by default the client tries for minutes."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    monkeypatch.setattr("service.tracking.senders.GIVE_UP_SECONDS", 60.0)
    monkeypatch.setattr("service.tracking.senders.FILES_GIVE_UP_SECONDS", 60.0)
    monkeypatch.setattr("service.tracking.senders.LONGEST_PAUSE_SECONDS", 0.2)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open_file(tmp_path / "ledger.db", clock=lambda: time.time_ns() // 1_000_000)
    yield ledger
    ledger.close()


def recorded(ledger: Ledger, name: str, trials: int = TRIALS) -> str:
    """Record a completed sweep of which nothing was sent to MLflow; return its id."""
    sweep = ledger.sweeps.create(
        name=name,
        spec_text=f"name: {name}",
        spec_file="s.yaml",
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=0,
        data={"name": "d", "digest": "0", "images": 1, "image_size": 8, "classes": {}, "source": "", "split": {}},
        settings={"budget.trials": trials},
    )
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    times = count(1_000)
    for number in range(trials):
        trial = ledger.trials.create(
            sweep.id, number=number, point={}, recipe={"x": number}, identity=str(number), seed=0, started=True
        )
        for epoch in range(1, EPOCHS + 1):
            row = EpochRow(
                epoch=epoch,
                seconds=0.1,
                recorded_at=next(times),
                readings={"train": {"loss": 1.0}, "val": {"accuracy": epoch / 10}},
            )
            ledger.trials.record_epochs(
                trial.id,
                attempt=1,
                rows=[row],
                metric="val/accuracy",
                goal=Goal.MAXIMIZE,
                ending=Ending(state=TrialState.COMPLETED) if epoch == EPOCHS else None,
            )
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    return sweep.id


def check_complete(server: MlflowServer, name: str, record: Record, trials: int = TRIALS) -> None:
    """Check that MLflow has one ended run for the sweep and for each trial, and each point once."""
    client = MlflowClient(tracking_uri=f"http://{server.address}")
    (experiment,) = [e for e in client.search_experiments() if e.name == name]
    runs = client.search_runs([experiment.experiment_id])
    children = [run for run in runs if run.data.tags["meltpoint.kind"] == "trial"]
    assert (len(children), len(runs)) == (trials, trials + 1)
    assert {run.info.status for run in runs} == {"FINISHED"}
    lost = doubled = 0
    for run in children:
        history = client.get_metric_history(run.info.run_id, "val/accuracy")
        steps = [point.step for point in history]
        lost += len(set(range(1, EPOCHS + 1)) - set(steps))
        doubled += len(steps) - len(set(steps))
        assert all(point.value == point.step / 10 for point in history)
    record("lost", lost)
    record("doubled", doubled)
    assert (lost, doubled) == (0, 0)


@pytest.fixture
def place(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


def sender_of(ledger: Ledger, sweep_id: str, home: Home) -> Sender:
    return Sender(ledger, sweep_id, lambda: Tracker(ledger, home), backlog_lock=home.backlog_lock).start()


@pytest.mark.experiment(16, runs=1)
def test_mlflow_gets_everything_after_an_outage(
    ledger: Ledger,
    absent_server: MlflowServer,
    place: Home,
    turn: int,
    thorough: bool,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    """Stay the first test of this file, so that the server starts once."""
    monkeypatch.setattr("service.tracking.senders.GIVE_UP_SECONDS", 3600.0)
    sweep_id = recorded(ledger, "away")
    sender = sender_of(ledger, sweep_id, place)
    try:
        time.sleep(600.0 if thorough else 0.0)
        until(lambda: sender.last_error, "the sender did not notice that MLflow is away")
        assert ledger.outbox.count_unsent(sweep_id) > 0
    finally:
        absent_server.start()
    began = time.monotonic()
    assert sender.finish(120) == 0, sender.last_error
    record_property("recovery", time.monotonic() - began)
    check_complete(absent_server, "away", record_property)


@pytest.mark.experiment(17, runs=3)
def test_a_lossy_network_makes_no_run_and_no_point_twice(
    ledger: Ledger,
    server: MlflowServer,
    place: Home,
    turn: int,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    sweep_id = recorded(ledger, f"lossy-{turn}")
    faults = Faults(lost_every=5, error_every=7, busy_every=11, slow_every=23)
    with flaky(server.address, faults, slow_seconds=1.5) as address, monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        sender = sender_of(ledger, sweep_id, place)
        assert sender.finish(240) == 0, sender.last_error
    assert faults.suffered > 8
    check_complete(server, f"lossy-{turn}", record_property)


def test_files_that_cannot_be_written_hold_up_nothing_else(
    tmp_path: Path, ledger: Ledger, server: MlflowServer, place: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the server hand out a folder that only it reaches, as one with `--no-serve-artifacts` does."""
    monkeypatch.setattr("service.tracking.senders.FILES_GIVE_UP_SECONDS", 0.5)
    obstacle = tmp_path / "only"
    obstacle.write_text("no folder")
    MlflowClient(tracking_uri=f"http://{server.address}").create_experiment("apart", str(obstacle / "there"))
    sweep_id = recorded(ledger, "apart")
    assert sender_of(ledger, sweep_id, place).finish(60) == 2
    check_complete(server, "apart", lambda _name, _value: None)
    (waiting,) = ledger.outbox.waiting(sweep_id)
    assert (waiting.messages, set(waiting.subjects)) == (2, {"files of runs", "the report"})
    where = f"artifacts cannot be written to {obstacle}/there from where Meltpoint runs: Not a directory: "
    assert waiting.error is not None
    assert waiting.error.startswith(where)
    assert "--artifacts-destination" in waiting.error
    (finding,) = check_mlflow_store(Surroundings(home=place, home_from="--home", environment={}))
    assert finding.level is Level.WARNING
    assert finding.text.endswith(f" keeps artifacts in {obstacle}/there, which cannot be written here")
    obstacle.unlink()
    sender = sender_of(ledger, sweep_id, place)
    assert sender.finish(60) == 0, sender.last_error
    assert [file for name in ("report.html", "s.yaml", "trials.csv") for file in obstacle.rglob(name)]


def test_files_that_the_server_does_not_see_wait(
    tmp_path: Path, ledger: Ledger, server: MlflowServer, place: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let each process have a folder of its own behind one path, as machines and containers do."""
    monkeypatch.setattr("service.tracking.senders.FILES_GIVE_UP_SECONDS", 0.5)
    monkeypatch.chdir(tmp_path)
    MlflowClient(tracking_uri=f"http://{server.address}").create_experiment("unseen", "/proc/self/cwd/there")
    sweep_id = recorded(ledger, "unseen")
    sender_of(ledger, sweep_id, place).finish(60)
    assert list((tmp_path / "there").rglob("trials.csv"))
    check_complete(server, "unseen", lambda _name, _value: None)
    (waiting,) = [waiting for waiting in ledger.outbox.waiting(sweep_id) if "files of runs" in waiting.subjects]
    assert waiting.error is not None
    assert waiting.error.startswith(
        f"artifacts were written to /proc/self/cwd/there, but MLflow's server at http://{server.address} does not see "
        "them there; that is a folder of the server's machine: mount it at this path where Meltpoint runs, or "
    )


@pytest.mark.experiment(18, runs=1)
def test_a_sender_killed_again_and_again_sends_each_point_once(
    tmp_path: Path,
    ledger: Ledger,
    server: MlflowServer,
    place: Home,
    turn: int,
    thorough: bool,
    record_property: Record,
) -> None:
    wanted, trials = (50, 200) if thorough else (4, 24)
    sweep_id = recorded(ledger, "killed", trials)
    kills = 0
    while ledger.outbox.count_unsent(sweep_id):
        child = os.fork()
        if child == 0:
            _send_and_exit(tmp_path / "ledger.db", sweep_id, place)
        if kills < wanted:
            time.sleep(random.uniform(0.1, 0.6))
            os.kill(child, signal.SIGKILL)
            kills += 1
        os.waitpid(child, 0)
    assert kills >= wanted, "everything was sent before it could be killed so often"
    record_property("kills", kills)
    check_complete(server, "killed", record_property, trials)


def _send_and_exit(path: Path, sweep_id: str, home: Home) -> None:
    try:
        sender_of(Ledger.open_file(path, clock=lambda: time.time_ns() // 1_000_000), sweep_id, home).finish(60)
    finally:
        os._exit(0)
