"""The checkup of a cluster: what each node tells, and the verdicts on it."""

from __future__ import annotations

import dataclasses
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from search_spaces import parse_spec
from service.clusters.node_looks import NoAnswer
from service.settings import Home
from service.upkeep import Finding, Level, Surroundings, examine_cluster, examine_nodes
from service.upkeep.checks.mlflow_rights import check_mlflow_rights
from service.upkeep.cluster_checks.clocks import clock_finding
from service.upkeep.cluster_checks.data import data_findings
from service.upkeep.cluster_checks.gpus import gpu_finding
from service.upkeep.cluster_checks.looks import NodeFacts, versions_here
from service.upkeep.cluster_checks.room import disk_finding

SPEC = "name: digits\ndata: {source: digits}\nspace: {batch_size: 32}\n"
FACTS = NodeFacts(
    name="a", home="/home/a", versions=versions_here(), disk=10**11, memory=10**10, gpus=(), usable_gpus=0
)
GPU = "NVIDIA H200 of 141 GB, driver 570.86"


def surroundings(home: Home, **variables: str) -> Surroundings:
    return Surroundings(home=home, home_from="--home", environment=variables)


@pytest.mark.ray
def test_every_node_is_asked_for_versions_clock_room_gpus_store_and_data(
    ray_once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELTPOINT_STORE", str(tmp_path / "store"))
    spec = parse_spec(SPEC, file="sweep.yaml")
    home = Home(tmp_path / "home").create()
    findings = {finding.name: finding for finding in examine_nodes(surroundings(home), spec=spec, folder=tmp_path)}
    assert findings.keys() == {"node", "versions", "clock", "disk", "memory", "gpu", "store", "data"}
    assert len({finding.node for finding in findings.values()}) == 1
    assert {finding.level for finding in findings.values()} <= {Level.OK, Level.WARNING}
    assert all(version in findings["versions"].text for version in versions_here().values())
    assert findings["store"].text == f"{tmp_path / 'store'} can be written and read"
    assert [file for file in (tmp_path / "store").rglob("*") if file.is_file()] == []
    assert "digits: 1,797 images of 10 classes, digest " in findings["data"].text


def test_a_cluster_that_refuses_is_named_within_seconds_and_nothing_is_joined(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").create()
    *_, last = examine_cluster(surroundings(home), "127.0.0.1:9")
    assert (last.level, last.name) == (Level.PROBLEM, "token")
    assert last.text == "no Ray cluster answers at 127.0.0.1:9: Connection refused"


@pytest.mark.parametrize(
    ("offset", "level"),
    [
        ((0.4, 0.01), Level.OK),
        ((-3.0, 0.01), Level.WARNING),
        ((3.0, 2.5), Level.OK),  # measured over a slow link, it may be as little as half a second
        ((11.0, 0.5), Level.PROBLEM),
        (NoAnswer("no answer within 60 s"), Level.PROBLEM),
    ],
)
def test_a_clock_is_wrong_by_what_is_beyond_the_error_of_its_measurement(
    offset: tuple[float, float] | NoAnswer, level: Level
) -> None:
    assert clock_finding("a", offset).level is level


@pytest.mark.parametrize(
    ("free", "level"), [(10**11, Level.OK), (2 * 10**9, Level.WARNING), (10**8, Level.PROBLEM), (0, Level.PROBLEM)]
)
def test_a_node_whose_disk_is_full_is_a_problem(free: int, level: Level) -> None:
    finding = disk_finding(dataclasses.replace(FACTS, disk=free))
    assert (finding.level, finding.node) == (level, "a")


@pytest.mark.parametrize(
    ("listed", "usable", "offered", "level"),
    [
        ((), 0, 0.0, Level.OK),
        ((GPU,), 1, 1.0, Level.OK),
        ((), 0, 1.0, Level.PROBLEM),
        ((GPU,), 0, 1.0, Level.PROBLEM),
        ((GPU, GPU), 2, 1.0, Level.WARNING),
    ],
)
def test_gpus_that_ray_hands_out_must_be_usable(
    listed: tuple[str, ...], usable: int, offered: float, level: Level
) -> None:
    assert gpu_finding(dataclasses.replace(FACTS, gpus=listed, usable_gpus=usable), offered).level is level


def test_a_node_with_other_images_is_named_and_so_is_one_that_cannot_read_them() -> None:
    answers: dict[str, Any] = {
        "a": (100, 2, "aaa"),
        "b": (100, 2, "aaa"),
        "c": (99, 2, "ccc"),
        "d": NoAnswer("/data/photos: no such folder"),
    }
    findings = {finding.node: finding for finding in data_findings("/data/photos", answers)}
    assert [findings[node].level.value for node in "abcd"] == ["ok", "ok", "problem", "problem"]
    assert findings["c"].advice == "other nodes have the digest aaa: put the same files there"
    assert findings["d"].text == "/data/photos: no such folder"


class _Mlflow(http.server.BaseHTTPRequestHandler):
    """The part of MLflow's server that the check asks, with the rights of a reader or of a writer."""

    may_write: ClassVar[bool] = True
    written: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        known = "/create" in "".join(self.written)
        self._answer(200 if known else 404, {"experiment": {"experiment_id": "7"}} if known else {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.may_write:
            self.written.append(self.path)
        self._answer(200 if self.may_write else 403, {"message": "Permission denied"})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def mlflow_server(*, may_write: bool) -> Iterator[tuple[str, list[str]]]:
    written: list[str] = []
    handler = type("Handler", (_Mlflow,), {"may_write": may_write, "written": written})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", written
        server.shutdown()


def rights(home: Home, monkeypatch: pytest.MonkeyPatch, address: str) -> Finding:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    (finding,) = check_mlflow_rights(surroundings(home))
    return finding


def test_the_right_to_create_in_mlflow_is_tried_and_leaves_one_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlflow_server(may_write=True) as (address, written):
        assert rights(Home(tmp_path), monkeypatch, address).level is Level.OK
        assert rights(Home(tmp_path), monkeypatch, address).level is Level.OK
        assert [path.rpartition("/")[2] for path in written] == ["create", "set-experiment-tag"]
    with mlflow_server(may_write=False) as (address, _):
        finding = rights(Home(tmp_path), monkeypatch, address)
    assert finding.level is Level.PROBLEM
    assert "refuses to write (403)" in finding.text
    assert rights(Home(tmp_path), monkeypatch, "http://127.0.0.1:9").level is Level.PROBLEM


def test_a_ledger_that_is_not_migrated_is_a_problem_where_nobody_but_migrate_upgrades(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELTPOINT_MIGRATE", "false")
    monkeypatch.setenv("MELTPOINT_LEDGER", f"sqlite:///{tmp_path / 'other.db'}")
    first, *_ = examine_cluster(surroundings(Home(tmp_path)), "127.0.0.1:9")
    assert (first.name, first.level, first.advice) == ("ledger", Level.PROBLEM, "run: meltpoint migrate")
