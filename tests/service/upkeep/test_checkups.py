"""`meltpoint doctor`: a line for everything that is broken."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.clocks import now_ms
from service.commands.app import app
from service.ledgers import Ledger, ServiceProcess, schema_at
from service.settings import Home
from service.upkeep import Finding, Level, Surroundings, checkups, examine


def findings_in(home: Home, **environment: str) -> dict[str, Finding]:
    where = Surroundings(home=home, home_from="--home", environment=environment)
    return {finding.name: finding for finding in examine(where)}


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_a_new_machine_is_well(tmp_path: Path) -> None:
    findings = findings_in(Home(tmp_path / "home"))
    assert [finding for finding in findings.values() if finding.level is Level.PROBLEM] == []
    assert {
        "python",
        "torch",
        "ray",
        "mlflow",
        "cores",
        "memory",
        "gpu",
        "disk",
        "ledger",
        "weights",
    } <= findings.keys()
    assert "made by the first `meltpoint run`" in findings["home"].text
    assert not (tmp_path / "home").exists(), "a doctor changes nothing"


def test_a_whole_ledger_is_named_by_its_schema(tmp_path: Path) -> None:
    Ledger.open_file(tmp_path / "ledger.db", clock=now_ms).close()
    schema = schema_at(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert schema.present == schema.wanted
    assert findings_in(Home(tmp_path))["ledger"].text == f"schema {schema.wanted}, whole"


def test_a_node_that_was_set_aside_is_named_with_the_reason(tmp_path: Path) -> None:
    node = {"name": "gpu-2", "aside": True, "problem": "it failed 3 times in a row; the last: no space left"}
    well = {"name": "gpu-1", "aside": False, "problem": None}
    with closing(Ledger.open_file(tmp_path / "ledger.db", clock=now_ms)) as ledger:
        ledger.services.beat(
            ServiceProcess(
                id="d", role="drivers", host="h", version="1", started_at=now_ms(), status={"nodes": [node, well]}
            )
        )
    finding = findings_in(Home(tmp_path))["nodes"]
    assert (finding.level, finding.text) == (Level.WARNING, f"gpu-2 gets no trials: {node['problem']}")


def test_a_corrupt_ledger_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database at all" * 100)
    ledger = findings_in(Home(tmp_path))["ledger"]
    assert ledger.level is Level.PROBLEM
    assert "file is not a database" in ledger.text


def test_a_ledger_of_a_newer_version_is_a_problem(tmp_path: Path) -> None:
    Ledger.open_file(tmp_path / "ledger.db", clock=now_ms).close()
    with sqlite3.connect(tmp_path / "ledger.db") as opened:
        opened.execute("UPDATE meltpoint_schema SET version_num = '9999'")
    opened.close()
    ledger = findings_in(Home(tmp_path))["ledger"]
    assert (ledger.level, ledger.advice) == (Level.PROBLEM, "upgrade Meltpoint")
    assert "9999" in ledger.text


def test_a_home_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = findings_in(Home(tmp_path / "file" / "home"))["home"]
    assert home.level is Level.PROBLEM
    assert "Not a directory" in home.text


def test_an_unreachable_mlflow_is_a_problem_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    started = time.monotonic()
    store = findings_in(Home(tmp_path))["mlflow store"]
    assert store.level is Level.PROBLEM
    assert "http://127.0.0.1:9 does not answer: [Errno 111] Connection refused" in store.text
    assert time.monotonic() - started < 30


def test_a_check_that_breaks_is_a_problem_and_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Surroundings) -> Iterator[Finding]:
        yield Finding(name="first", text="fine")
        raise OSError("the driver is on fire")

    monkeypatch.setattr(checkups, "CHECKS", (("gpu", broken), *checkups.CHECKS[-1:]))
    findings = findings_in(Home(tmp_path), MELTPOINT_HOME="here", MLFLOW_TRACKING_TOKEN="secret")
    assert findings["gpu"].level is Level.PROBLEM
    assert findings["gpu"].text == "OSError: the driver is on fire"
    assert findings["first"].level is Level.OK
    assert "secret" not in " ".join(finding.text for finding in findings.values())


def test_the_exit_code_and_the_json_say_whether_there_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkups, "CHECKS", [check for check in checkups.CHECKS if check[0] in ("ledger", "cores")])
    whole = CliRunner().invoke(app, ["doctor", "-o", "json", "--home", str(tmp_path)])
    assert whole.exit_code == 0
    assert {row["level"] for row in json.loads(whole.stdout)} <= {"ok", "warning"}
    (tmp_path / "ledger.db").write_bytes(os.urandom(5000))
    damaged = CliRunner().invoke(app, ["doctor", "--home", str(tmp_path)])
    assert damaged.exit_code == 1
    assert "problem  ledger" in damaged.stdout
    assert "problem: ledger: move" in damaged.stderr


@pytest.mark.parametrize(
    ("typed", "variable", "origin"),
    [
        (True, False, "--home"),
        (False, True, "MELTPOINT_HOME"),
        (True, True, "--home"),
        (False, False, "meltpoint.toml"),
    ],
)
def test_the_report_names_the_source_of_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: bool, variable: bool, origin: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meltpoint.toml").write_text("home = 'here'\n")
    if variable:
        monkeypatch.setenv("MELTPOINT_HOME", str(tmp_path / "there"))
    else:
        monkeypatch.delenv("MELTPOINT_HOME")
    monkeypatch.setattr(checkups, "CHECKS", [check for check in checkups.CHECKS if check[0] == "home"])
    flags = ["--home", str(tmp_path / "typed")] if typed else []
    result = CliRunner().invoke(app, ["doctor", "-o", "json", *flags])
    assert f"(from {origin})" in json.loads(result.stdout)[0]["text"]
