"""`meltpoint serve` as people run it: its refusals, its first start, and its end in every way."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.service.commands.services import RunningService, serving

pytestmark = pytest.mark.slow

API = ("--role", "api", "--port", "0")


@pytest.fixture(autouse=True)
def _own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MELTPOINT_LEDGER", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def refusal(service: RunningService) -> str:
    assert service.process.wait(60) == 2
    return " ".join(service.lines)


def test_the_first_start_gives_the_admin_a_token_and_a_later_one_does_not(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home, *API) as service:
        facts = json.loads((home / "service.json").read_text())
        assert (facts["url"], facts["pid"]) == (service.url, service.process.pid)
        assert (home / "admin-token").read_text().strip() == service.token
        assert f"meltpoint login {service.url}" in " ".join(service.lines)
        assert f"{service.url}/mlflow/" in " ".join(service.lines)
        with service.client() as client:
            assert client.get("/api/v1/whoami").json()["user"] == "admin"
        for name in ("service.json", "admin-token", "session-key"):
            assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
        processes = service.descendants()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
        assert not (home / "service.json").exists()
        assert all(map(is_gone, processes))
    with serving(home, *API) as again:
        assert "admin token" not in " ".join(again.lines)


def test_a_second_service_on_the_home_is_refused_but_another_role_is_not(tmp_path: Path) -> None:
    with serving(tmp_path, *API) as first:
        with serving(tmp_path, *API) as second:
            text = refusal(second)
            assert f"is served already at {first.url} (process {first.process.pid})" in text
        with serving(tmp_path, "--port", "0") as both:
            assert "is served already" in refusal(both)
        assert first.process.poll() is None


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serving(tmp_path, "--role", "api", "--port", str(port)) as service:
            assert f"127.0.0.1:{port}: Address already in use; choose another with --port" in refusal(service)
    assert not (tmp_path / "mlflow.db").exists()


def test_nothing_runs_on_after_kill_minus_9_and_the_next_start_works(tmp_path: Path) -> None:
    with serving(tmp_path, *API) as service:
        service.wait_for_mlflow()
        processes = service.descendants()
        assert len(processes) >= 3
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        wait_for(lambda: all(map(is_gone, processes)))
        assert (tmp_path / "service.json").exists()
    with serving(tmp_path, *API) as again, httpx2.Client() as client:
        assert client.get(f"{again.url}/api/v1/health").status_code == 200


def test_mlflow_is_started_again_when_it_dies(tmp_path: Path) -> None:
    with serving(tmp_path, *API) as service:
        service.wait_for_mlflow()
        for process in service.descendants():
            is_mlflow = {"mlflow", "service.tracking.mlflow_program"} & set(process.cmdline())
            if is_mlflow and "service.child_processes" not in process.cmdline():
                process.kill()
        with service.client() as client:
            wait_for(lambda: client.get("/mlflow/version").status_code == 502)
        service.wait_for_mlflow()


def test_an_open_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with serving(tmp_path, *API) as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"POST /session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\ntoken=")
            time.sleep(0.2)
            started = time.monotonic()
            service.process.send_signal(signal.SIGINT)
            assert service.process.wait(30) == 0
            assert time.monotonic() - started < 15


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, *API) as service:
        processes = service.descendants()
        service.process.send_signal(signal.SIGINT)
        service.process.send_signal(signal.SIGINT)
        service.process.wait(10)
        wait_for(lambda: all(map(is_gone, processes)))


def test_the_process_that_answers_requests_loads_nothing_heavy() -> None:
    program = "import sys; import service.commands.services.serving; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "fastapi" in modules
    assert set(modules) & {"ray", "torch", "mlflow", "optuna", "timm"} == set()
