"""`serve --check` names what is missing, and what helps."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from service.file_locks import try_lock
from service.settings import Home
from service.upkeep import Finding, Level, ServiceNeeds, Surroundings, examine_service


@pytest.fixture(autouse=True)
def _own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MELTPOINT_LEDGER", "MLFLOW_TRACKING_URI", "RAY_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)


def findings(home: Home, port: int = 0, ray: str | None = None) -> dict[str, Finding]:
    needs = ServiceNeeds(host="127.0.0.1", port=port, ray=ray, has_api=True, has_drivers=True)
    surroundings = Surroundings(home=home, home_from="--home", environment={})
    return {finding.name: finding for finding in examine_service(surroundings, needs)}


def test_a_fresh_home_can_be_served(tmp_path: Path) -> None:
    levels = {name: finding.level for name, finding in findings(Home(tmp_path).create()).items()}
    assert Level.PROBLEM not in levels.values()
    assert {"home", "disk", "ledger", "mlflow store", "ray cluster", "port", "service"} <= set(levels)


def test_a_taken_port_a_cluster_that_is_away_and_an_mlflow_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken, socket.socket() as free:
        for each in (taken, free):
            each.bind(("127.0.0.1", 0))
        taken.listen()
        away = f"127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{away}")
        result = findings(Home(tmp_path).create(), port=taken.getsockname()[1], ray=away)
    assert "Address already in use" in result["port"].text
    assert result["ray cluster"].text == f"no Ray cluster answers at {away}: Connection refused"
    assert f"http://{away} does not answer" in result["mlflow store"].text
    for name in ("port", "ray cluster", "mlflow store"):
        assert result[name].level is Level.PROBLEM
        assert result[name].advice


def test_a_home_that_is_served_already_is_named_with_the_address(tmp_path: Path) -> None:
    home = Home(tmp_path).create()
    home.service_file.write_text(json.dumps({"url": "http://127.0.0.1:8000", "pid": 4711}))
    (lock,) = home.service_locks(has_api=True, has_drivers=False)
    with try_lock(lock):
        finding = findings(home)["service"]
    assert finding.text == "this home is served already at http://127.0.0.1:8000 (process 4711)"
    assert finding.level is Level.PROBLEM
