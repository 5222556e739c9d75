"""A whole service, with drivers and a Ray of its own: ready, and gone without a trace, however it ends."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.clocks import now_ms
from service.clusters import why_not_joinable
from service.ledgers import Ledger
from service.queues import Limits, find_limits
from service.settings import Home
from tests.service.commands.services import RunningService, serving
from tests.service.commands.test_serve import is_gone, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture(autouse=True)
def _own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MELTPOINT_LEDGER", "MLFLOW_TRACKING_URI", "RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


def wait_until_ready(service: RunningService) -> list[psutil.Process]:
    """Wait until sweeps would be accepted; return every process of the service but the first."""
    with service.client() as client:
        wait_for(lambda: client.get("/api/v1/ready").status_code == 200, 120)
    return service.descendants()


def command_lines(processes: list[psutil.Process]) -> str:
    lines = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            lines.append(" ".join(process.cmdline()))
    return "\n".join(lines)


def listening(processes: list[psutil.Process]) -> list[Any]:
    connections = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            connections += process.net_connections("inet")
    return [connection for connection in connections if connection.status == psutil.CONN_LISTEN]


def test_a_service_with_drivers_leaves_nothing_behind_and_shows_no_secret(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home, "--port", "0", "--max-sweeps", "3") as service:
        processes = wait_until_ready(service)
        with closing(Ledger.open(Home(home), clock=now_ms)) as ledger:
            assert find_limits(ledger.services.list(role="drivers")) == Limits(max_active_sweeps=3)
        shown = command_lines([psutil.Process(service.process.pid), *processes])
        address = re.search(r"--gcs-address=(\S+)", shown)
        assert address is not None
        assert f"the Ray cluster at {address[1]} asks for a token" in str(why_not_joinable(address[1]))
        assert {connection.laddr.ip for connection in listening(processes)} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
        secrets = [(home / name).read_text().strip() for name in ("admin-token", "session-key", "ray-token")]
        logs = "\n".join(file.read_text(errors="replace") for file in home.glob("*.log"))
        assert [secret for secret in secrets if secret in shown or secret in logs] == []
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        wait_for(lambda: all(map(is_gone, processes)), 60)
    with serving(home, "--port", "0") as again:
        time.sleep(1)
        processes = again.descendants()
        started = time.monotonic()
        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(90) == 0
        assert time.monotonic() - started < 60
        wait_for(lambda: all(map(is_gone, processes)), 30)
