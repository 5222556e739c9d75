"""`meltpoint serve` with a ledger in PostgreSQL, and with MLflow elsewhere."""

from __future__ import annotations

import json
import secrets
import signal
import time
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from service.clocks import now_ms
from service.ledgers import Ledger, ServiceProcess, SweepState
from service.settings import Home
from service.tracking import MlflowServer
from tests.databases import MakePostgresql, new_postgresql, postgresql
from tests.running_services import Drivers, mlflow_points, sweep_text, until
from tests.service.clusters.answering_heads import answering_head
from tests.service.commands.services import RunningService, serving
from tests.service.commands.test_service_commands import Shell

__all__ = ["new_postgresql", "postgresql"]

pytestmark = [pytest.mark.slow, pytest.mark.ray]

TRIALS, EPOCHS = 3, 20
"""Size of a sweep that goes on for some time."""

NAMED_SECONDS = 5.0
"""Time in which a service names the cause of what it cannot use."""

RETURN_SECONDS = 120.0
"""Time in which MLflow has everything once it is there again."""


@pytest.fixture(autouse=True)
def _own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MELTPOINT_LEDGER", "MLFLOW_TRACKING_URI", "RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shell(tmp_path: Path, tiny_folder: Path) -> Shell:
    """The shell of a user on the machine of the service, in a folder with images and two sweep files."""
    shell = Shell(tmp_path / "shell")
    (shell.folder / "photos").symlink_to(tiny_folder)
    (shell.folder / "sweep.yaml").write_text(sweep_text(trials=2, epochs=2) + "register: {model: cells}\n")
    (shell.folder / "long.yaml").write_text(sweep_text(trials=TRIALS, epochs=EPOCHS))
    return shell


def watcher(shell: Shell, url: str) -> Drivers:
    """Return a reader of the service's ledger."""
    return Drivers(Home(shell.folder / "home"), shell.folder, url)


def follow(shell: Shell) -> str:
    """Submit a sweep and follow it until its model is registered; return what was printed for people."""
    command = shell.start("submit", "sweep.yaml", "--follow")
    _, printed = command.communicate(timeout=300)
    assert command.returncode == 0, printed
    return printed


def submit_long(shell: Shell, drivers: Drivers) -> str:
    """Submit a sweep, and wait until its trials have reported some epochs; return its id."""
    sweep_id = str(shell.json("submit", "long.yaml")["sweep_id"])
    drivers.await_epochs(sweep_id, 3)
    return sweep_id


def next_line(service: RunningService, words: str) -> str:
    """Return the next line with these words that the service prints."""
    assert service.process.stderr is not None
    return next(line for line in service.process.stderr if words in line)


def end(service: RunningService) -> str:
    """End a service in order; return what it has printed since its start."""
    assert service.process.stderr is not None
    service.process.send_signal(signal.SIGTERM)
    printed = service.process.stderr.read()
    assert service.process.wait(90) == 0, printed
    return printed


def test_a_service_with_postgresql_starts_follows_and_goes_on_after_a_restart(
    shell: Shell, new_postgresql: MakePostgresql
) -> None:
    url, home = new_postgresql(), shell.folder / "home"
    drivers = watcher(shell, url)
    check = shell.run("serve", "--check", "--port", "0", "--ledger", url)
    assert check.returncode == 0, check.stdout
    assert "schema none, upgraded to" in check.stdout
    with serving(home, "--port", "0", "--ledger", url) as service:
        printed = follow(shell)
        assert "registered models:/cells@candidate (version 1" in printed
        assert f"MLflow: {service.url}/mlflow, experiment 1" in printed
        assert shell.run("trials", "last").stdout.splitlines()[1:], "the hint that was printed works on this home"
        shell.run("login", service.url, stdin=service.token)
        sweep_id = submit_long(shell, drivers)
        follower = shell.start("watch", sweep_id)
        time.sleep(1)
        assert "Traceback" not in end(service)
    assert drivers.sweep(sweep_id).state is SweepState.QUEUED
    with serving(home, "--port", service.url.rpartition(":")[2], "--ledger", url):
        drivers.await_completed([sweep_id])
        _, seen = follower.communicate(timeout=120)
        assert (follower.returncode, "completed" in seen) == (0, True), f"whoever followed sees the end: {seen}"
        assert drivers.sweep(sweep_id).restarts == 0
        assert len(drivers.ledger_points(sweep_id)) == TRIALS * EPOCHS
        assert drivers.check_rows(sweep_id) == (0, 0)


def test_drivers_name_the_cause_if_their_cluster_refuses_the_token(
    shell: Shell, new_postgresql: MakePostgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let a head answer that has another token; test_clusters.py has the roles apart on a whole cluster."""
    url, home = new_postgresql(), shell.folder / "home"
    with answering_head(secrets.token_hex(32)) as ray:
        with serving(home, "--role", "drivers", "--ray", ray) as refused:
            assert refused.process.wait(30) == 2
            assert "--ray: needs a ledger in PostgreSQL" in " ".join(refused.lines)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(shell.folder / "wrong"))
        (shell.folder / "wrong").write_text(secrets.token_hex(32))
        with serving(home, "--role", "drivers", "--ray", ray, "--ledger", url) as wrong:
            began = time.monotonic()
            assert f"drivers: the Ray cluster at {ray} refuses the token" in next_line(wrong, "Ray cluster")
            assert time.monotonic() - began < NAMED_SECONDS
            until(lambda: _drivers_problem(url), "the queue does not tell the cause", 30.0)
            assert f"the Ray cluster at {ray} refuses the token" in str(_drivers_problem(url))
            end(wrong)


def test_a_service_without_its_mlflow_runs_sweeps_and_mlflow_gets_everything_once_it_is_there(
    shell: Shell, tmp_path: Path
) -> None:
    """Let the sweep end, and its driver give up on MLflow, before MLflow's server starts."""
    elsewhere, port = Home(tmp_path / "mlflow").create(), _free_port()
    address = f"http://127.0.0.1:{port}"
    drivers = Drivers(Home(shell.folder / "home"), shell.folder)
    with serving(shell.folder / "home", "--port", "0", "--mlflow", address) as service:
        line = next_line(service, "MLflow: ")
        assert f"{address} does not answer: " in line
        assert "sweeps run without it, and what it is to be sent waits in the ledger" in line
        assert mlflow_answers(service, drivers.home) == 502
        submitting = shell.start("submit", "sweep.yaml", "-o", "json")
        sweep_id = str(json.loads(submitting.communicate(timeout=300)[0])["sweep_id"])
        drivers.await_state(sweep_id, SweepState.COMPLETED, seconds=300.0)
        until(lambda: drivers.driver_of(sweep_id) is None, "the driver did not give up on MLflow", 120.0)
        waiting = shell.json("status", sweep_id)["unsent"]
        assert waiting
        with closing(MlflowServer(elsewhere, port=port)) as server:
            server.wait_until_ready()
            until(lambda: not shell.json("status", sweep_id)["unsent"], "MLflow did not get everything", RETURN_SECONDS)
            assert mlflow_answers(service, drivers.home) == 200
            assert mlflow_points(elsewhere, sweep_id) == drivers.ledger_points(sweep_id)
        printed = end(service)
    assert printed.count("does not answer") == 0, "it is said once"
    assert f"MLflow answers at {address}" in printed


def mlflow_answers(service: RunningService, home: Home) -> int:
    """Return the status with which the door answers; a service that starts again prints no token."""
    headers = {"Authorization": f"Bearer {home.admin_token.read_text().strip()}"}
    return httpx2.get(f"{service.url}/mlflow/version", headers=headers, timeout=30).status_code


def _drivers_problem(url: str) -> object:
    """Return what drivers complain about, as the ledger has it."""
    with closing(Ledger(url, clock=now_ms)) as ledger:
        processes: list[ServiceProcess] = ledger.services.list(role="drivers")
    return next((process.status["problem"] for process in processes if process.status.get("problem")), None)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
