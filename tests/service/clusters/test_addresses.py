"""Why a Ray cluster cannot be joined is told within seconds, and by its cause."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from service.clusters import why_not_joinable
from service.clusters.ray_internals import CHECK_ALIVE

TOKEN = "a" * 64


class Head(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers as the head of Ray 2.60 does."""

    def service(self, details: Any) -> Any:
        if details.method != CHECK_ALIVE:
            return None
        sent = dict(details.invocation_metadata).get("authorization")

        def answer(_request: bytes, context: Any) -> bytes:
            if sent != f"Bearer {TOKEN}":
                reason = "InvalidAuthToken: Authentication token is missing or incorrect"
                context.abort(grpc.StatusCode.UNAUTHENTICATED, reason)
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def head() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Head()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


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
