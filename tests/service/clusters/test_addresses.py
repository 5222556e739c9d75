"""Why a Ray cluster cannot be joined is told within seconds, and by its cause."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from service.clusters import describe_other_versions, version_labels, why_not_joinable
from tests.service.clusters.answering_heads import answering_head

TOKEN = "a" * 64


@pytest.fixture
def head() -> Iterator[str]:
    with answering_head(TOKEN) as address:
        yield address


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_USE_TLS"):
        monkeypatch.delenv(name, raising=False)


def test_the_right_token_is_let_in(head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert why_not_joinable(head) is None


def test_a_wrong_token_and_a_missing_one_are_named(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"the Ray cluster at {head} asks for a token" in str(why_not_joinable(head))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "b" * 64)
    assert f"the Ray cluster at {head} refuses the token" in str(why_not_joinable(head))
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/absent/token")
    assert why_not_joinable(head) == "the token of Ray cannot be read: /absent/token: No such file or directory"


def test_an_address_where_nothing_or_something_silent_listens() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        free = f"127.0.0.1:{silent.getsockname()[1]}"
        assert why_not_joinable(free) == f"no Ray cluster answers at {free}: Connection refused"
        silent.listen()
        started = time.monotonic()
        assert f"{free}" in str(why_not_joinable(free, seconds=0.5))
        assert time.monotonic() - started < 5
    assert "must be host:port" in str(why_not_joinable("ray://head:10001"))
    assert "must be host:port" in str(why_not_joinable("head"))


def test_another_version_of_the_cluster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    with answering_head(TOKEN, labels=version_labels()) as same:
        assert describe_other_versions(same) is None
    with answering_head(TOKEN, labels={"ray.io/node-id": "a"}) as unlabelled:
        assert describe_other_versions(unlabelled) is None
    labels = {**version_labels(), "meltpoint-version": "0.0.9", "meltpoint-python-version": "3.12.1"}
    with answering_head(TOKEN, labels=labels) as other:
        reason = str(describe_other_versions(other))
    assert f"the Ray cluster at {other} runs Meltpoint 0.0.9 (here 0.1.0), Python 3.12.1 (here " in reason
    assert "use the same image on all nodes" in reason


def test_a_ray_that_does_not_tell_its_labels_has_no_other_version(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering_head(TOKEN, labels=None) as silent:
        assert describe_other_versions(silent) is None
    with answering_head(TOKEN, labels={"meltpoint-version": "0.0.9"}) as other:
        monkeypatch.setitem(sys.modules, "ray.core.generated.gcs_service_pb2", ModuleType("gcs_service_pb2"))
        assert describe_other_versions(other) is None
