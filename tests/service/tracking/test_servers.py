"""MLflow's server as a child: on a port or on a private socket, under a prefix, with its failures told."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import psutil
import pytest

from service.errors import TrackingError
from service.settings import Home, prepare_environment
from service.tracking import MlflowServer

pytestmark = pytest.mark.slow


@pytest.fixture
def own_home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home").create()
    prepare_environment(home)
    return home


@pytest.fixture
def earlier_children() -> set[psutil.Process]:
    """The children that this process has already, such as the Ray of other tests."""
    return set(psutil.Process().children(recursive=True))


@pytest.fixture
def server(own_home: Home, earlier_children: set[psutil.Process]) -> Iterator[MlflowServer]:
    with closing(MlflowServer(own_home, port=None, prefix="/mlflow")) as server:
        server.wait_until_ready()
        yield server


def test_the_private_server_listens_on_no_port_and_lets_only_its_owner_in(
    server: MlflowServer, earlier_children: set[psutil.Process]
) -> None:
    path = Path(server.address.unix_socket)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    listening = [
        connection
        for child in set(psutil.Process().children(recursive=True)) - earlier_children
        for connection in child.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == []
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
        assert "<title>MLflow" in client.get("/mlflow/").text
        answer = client.get("/mlflow/api/2.0/mlflow/experiments/get?experiment_id=0")
        assert answer.json()["experiment"]["name"] == "Default"
        assert client.get("/mlflow/", headers={"Host": "elsewhere.example"}).status_code == 403
        job = client.post("/mlflow/ajax-api/3.0/jobs/", json={"function": "x", "params": {}})
        assert job.status_code >= 400


def test_the_server_on_a_port_ends_with_close_and_a_taken_port_is_named(
    own_home: Home, earlier_children: set[psutil.Process]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.listen()
        with pytest.raises(TrackingError, match=f"port {port} is taken; choose another with --port"):
            MlflowServer(own_home, port=port)
    server = MlflowServer(own_home, port=0)
    server.wait_until_ready()
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.address.port}") as client:
        assert client.get("/version").status_code == 200
    server.close()
    assert not server.answers()
    assert set(psutil.Process().children()) <= earlier_children


def test_a_server_that_ends_at_once_says_why(own_home: Home) -> None:
    own_home.mlflow_store.write_text("not a database, and long enough to be seen as one that is damaged" * 20)
    with closing(MlflowServer(own_home, port=None)) as server, pytest.raises(TrackingError, match="ended at once: "):
        server.wait_until_ready()
