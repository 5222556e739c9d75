"""The parts of a node that need no Ray; tests/end_to_end/test_clusters.py runs whole nodes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from service.errors import ResourcesError, UsageError
from service.nodes import NodeHealth, NodeOptions, check_needs, fork_server_keeper
from service.nodes.fork_server_keeper import ForkServerKeeper
from service.nodes.health import STALE_SECONDS
from service.nodes.janitor import Janitor
from service.nodes.output_lines import OutputLines
from service.settings import Home
from tests.running_services import until
from trainables.devices import Gpu
from trainables.processes import ForkServer

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def own_home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


def test_the_command_of_ray_has_what_was_typed() -> None:
    head = NodeOptions.typed(head=True, ray=None, port=6400, node_ip="10.0.0.1")
    command = head.command(Path("/tmp/mp/ray"))
    assert {"--head", "--port=6400", "--num-cpus=0", "--node-ip-address=10.0.0.1", "--block"} < set(command)
    assert not any(word.startswith(("--num-gpus", "--address")) for word in command)
    assert not head.trains
    node = NodeOptions.typed(head=False, ray="10.0.0.1:6400", gpus=2, name="n1", ray_options=["--num-cpus=3"])
    command = node.command(Path("/tmp/mp/ray"))
    assert {"--address=10.0.0.1:6400", "--num-gpus=2", "--node-name=n1"} < set(command)
    assert command[-1] == "--num-cpus=3", "Ray takes the last of two: options behind -- win"
    assert node.trains
    with pytest.raises(UsageError, match="give one of them"):
        NodeOptions.typed(head=True, ray="10.0.0.1:6400")


def test_a_node_offers_no_more_gpus_than_the_driver_lists(own_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    gpu = Gpu(name="card", memory=80, free=80, driver="1")
    options = NodeOptions(port=_free_port(), gpus=2)
    check_needs(own_home, options, gpus=lambda: [gpu, gpu])
    with pytest.raises(ResourcesError, match="--gpus 2: NVIDIA's driver lists 1; start the node where"):
        check_needs(own_home, options, gpus=lambda: [gpu])


def test_health_is_what_the_main_process_wrote_last(own_home: Home) -> None:
    assert NodeHealth.why_not_healthy(own_home) == f"no node runs with home {own_home.root}"
    NodeHealth(state="starting", name="n1", pid=os.getpid()).write(own_home)
    assert NodeHealth.why_not_healthy(own_home) == "node n1 is starting"
    for state in ("ready", "leaving"):
        NodeHealth(state=state, name="n1", pid=os.getpid(), trials=2).write(own_home)
        assert NodeHealth.why_not_healthy(own_home) is None
    late = time.time() + STALE_SECONDS + 1
    assert "has not written its health for" in str(NodeHealth.why_not_healthy(own_home, now=late))
    NodeHealth(state="ready", name="n1", pid=os.getpid(), problem="the fork server has died").write(own_home)
    assert NodeHealth.why_not_healthy(own_home) == "the fork server has died"
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    NodeHealth(state="ready", name="n1", pid=ended.pid).write(own_home)
    assert "no node runs" in str(NodeHealth.why_not_healthy(own_home))


def test_the_janitor_ends_marked_processes_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "ray").mkdir(parents=True)
    janitor = Janitor(folder, ("MELTPOINT_NODE_RUN", "abc"))
    with (
        subprocess.Popen(SLEEP, env=os.environ | {"MELTPOINT_NODE_RUN": "abc"}, start_new_session=True) as marked,
        subprocess.Popen(SLEEP, start_new_session=True) as leader,
        subprocess.Popen(SLEEP, env=os.environ | {"MELTPOINT_NODE_RUN": "abcd"}) as other,
    ):
        janitor.add_session(leader.pid)
        janitor.close()
        assert (marked.wait(10), leader.wait(10), other.poll()) == (-9, -9, None)
        other.kill()
    assert not folder.exists()


def test_a_fork_server_that_dies_is_started_again_at_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server_keeper, "FIRST_WAIT", 0.1)
    monkeypatch.setattr(fork_server_keeper, "PRELOAD", "json")
    sentences: list[str] = []
    folder = str(tmp_path / "fork")
    with closing(ForkServerKeeper(folder, os.environ, say=sentences.append)) as keeper:
        keeper.look()
        assert not keeper.pids(), "before its start there is nothing to keep"
        keeper.start()
        (first,) = keeper.pids()
        until(Path(ForkServer.address_in(folder)).exists, "the server does not listen", 20.0)
        psutil.Process(first).kill()

        def is_another() -> bool:
            keeper.look()
            return keeper.pids() not in (set(), {first})

        until(is_another, "the server was not started again", 20.0)
        until(Path(ForkServer.address_in(folder)).exists, "the server does not listen again", 20.0)
        assert sentences == ["the fork server ended (exit code -9); started again in 0 s"]
        assert (keeper.problem, list(keeper.trials())) == (None, [])
    assert not Path(folder).exists()


def test_output_is_passed_on_line_by_line_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    lines = OutputLines("ray", dropped=" INFO ")
    os.write(lines.writable, b"\x1b[36mone\x1b[0m\n\nx INFO two\nthr\xffee")
    lines.close()
    lines.close()
    assert capsys.readouterr().out == "ray: one\nray: thr\N{REPLACEMENT CHARACTER}ee\n"
    assert lines.last == ["one", "x INFO two", "thr\N{REPLACEMENT CHARACTER}ee"]


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
