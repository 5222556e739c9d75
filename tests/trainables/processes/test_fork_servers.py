"""Processes forked from a process that has loaded torch: they run trials, and their ends are noticed."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest

from search_spaces import DataSpec, Goal
from tests.own_modules import Write
from tests.prepared_images import images_of
from tests.trainables.processes.counters import Counter
from trainables.processes import ForkedError, ForkedObject, ForkServer, Rendezvous
from trainables.processes.messages import Call
from trainables.stores.locks import lock_for_writing
from trainables.stores.prepared import PreparedData, prepare_data
from trainables.stores.references import ImagesReference
from trainables.trials import PRELOAD, TrialPlan
from trainables.trials.forked_run import ForkedRun
from trainables.trials.runner import TrialRun

RECIPE = {
    "backbone": "torchvision/resnet18",
    "weights": "random",
    "freeze_depth": 5,
    "optimizer.name": "sgd",
    "optimizer.lr": 0.1,
    "batch_size": 32,
}


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """Start a server; a fork of this process would lack the threads of autograd that other tests have started."""
    with closing(ForkServer(preload=PRELOAD)) as server:
        yield server


def plan(tiny: PreparedData, folder: Path, epochs: int = 2) -> dict[str, object]:
    trial_plan = TrialPlan(
        recipe=RECIPE,
        seed=1,
        epochs=epochs,
        report_at=(1,),
        **images_of(tiny),
        folder=str(folder),
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
    )
    return vars(trial_plan)


def forked(server: ForkServer, folder: Path) -> ForkedRun:
    return ForkedRun(server.address, threads=1, rendezvous=Rendezvous(str(folder), 1), log=str(folder / "log"))


def test_a_forked_trial_reports_what_one_in_this_process_does(
    server: ForkServer, tiny: PreparedData, tmp_path: Path
) -> None:
    here = TrialRun(threads=1, reports_requested=lambda: False)
    there = forked(server, tmp_path)
    assert there.pid != os.getpid()
    for run, name in ((here, "here"), (there, "there")):
        run.take(plan(tiny, tmp_path / name))
    for _ in range(2):
        ours, theirs = here.step(), there.step()
        assert [row["readings"] for row in theirs["history"]] == [row["readings"] for row in ours["history"]]
        assert theirs["done_training"] == ours["done_training"]
    there.take(plan(tiny, tmp_path / "again"))
    assert len(there.step()["history"]) == 1, "the next recipe starts anew in the same process"
    there.close()


def test_what_a_trial_prints_is_kept(server: ForkServer, tiny: PreparedData, tmp_path: Path, write: Write) -> None:
    name = write("def vary(image, generator):\n    print('seen')\n    return image")
    run = forked(server, tmp_path)
    fields = plan(tiny, tmp_path)
    recipe = {**RECIPE, "augment.policy": f"{name}:vary"}
    run.take(fields | {"recipe": recipe, "code": str(tmp_path)})
    assert "error" not in run.step()
    run.close()
    gone(run.pid)
    assert "seen" in (tmp_path / "log").read_text()


def test_the_message_says_how_a_process_ended(server: ForkServer, tiny: PreparedData, tmp_path: Path) -> None:
    run = forked(server, tmp_path)
    run.take(plan(tiny, tmp_path))
    os.kill(run.pid, signal.SIGKILL)
    with pytest.raises(ForkedError, match=r"the trial's process died: killed by SIGKILL, which is what the system"):
        run.step()


def test_the_message_says_how_a_process_ended_before_it_sent_its_pid(server: ForkServer, tmp_path: Path) -> None:
    made = ForkedObject(server.address, Counter, {}, environment={}, role="trial", folder=str(tmp_path / "not there"))
    with closing(made), pytest.raises(ForkedError, match=r"process died: it exited with code 1$"):
        made.call(Counter.count, 1)


@pytest.mark.parametrize("unread", [False, True])
def test_a_process_in_the_middle_of_a_step_ends_with_its_caller(
    unread: bool, server: ForkServer, tiny: PreparedData, tmp_path: Path
) -> None:
    """Check it also with an unread answer, which resets the connection."""
    run = forked(server, tmp_path)
    fields = plan(tiny, tmp_path, epochs=100_000) | {"report_at": ()}
    run.take(fields)
    connection = run._object._connection
    connection.send(Call("step", (), {}, with_progress=unread))
    time.sleep(0.3)
    assert connection.poll(10 if unread else 0) == unread
    assert psutil.pid_exists(run.pid)
    run.close()
    gone(run.pid)
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_the_server_outlives_who_asks_and_dies(server: ForkServer, tiny: PreparedData, tmp_path: Path) -> None:
    for message in (b"", b"\0\0"):
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(server.address)
            asking.send(message)
    run = forked(server, tmp_path)
    run.take(plan(tiny, tmp_path))
    assert run.step()["history"]
    run.close()


def test_nothing_outlives_the_server(tmp_path: Path) -> None:
    with closing(ForkServer(preload=Counter.__module__)) as server:
        made = ForkedObject(server.address, Counter, {}, environment={}, role="trial", folder=str(tmp_path))
        pid = made.call(Counter.pid)
    gone(pid)
    with closing(made), pytest.raises(ForkedError, match="and so did its fork server"):
        made.call(Counter.count, 1)


def gone(pid: int) -> None:
    """Wait until the process has ended; a process that waits to be reaped has ended."""
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_trial_that_waits_for_images_gives_signs_of_life(
    server: ForkServer, tiny_folder: Path, tmp_path: Path
) -> None:
    spec, root = DataSpec(source=str(tiny_folder), image_size=16), tmp_path / "data"
    prepared = prepare_data(spec, base_dir=tmp_path, root=tmp_path / "elsewhere")
    reference = ImagesReference.describe(prepared, spec, base_dir=tmp_path, backbones=("torchvision/resnet18",))
    run = forked(server, tmp_path)
    run.take(plan(prepared, tmp_path / "trial") | {"images": vars(reference), "images_root": str(root)})
    root.mkdir()
    beats: list[float] = []
    with ExitStack() as another_process:
        another_process.enter_context(lock_for_writing(root / f"images-{reference.digest}"))
        until = time.monotonic() + 3.5
        threading.Timer(3.5, another_process.pop_all().close).start()
        report = run.step(lambda: beats.append(time.monotonic()))
    assert len(report["history"]) == 1
    assert sum(beat < until for beat in beats) >= 2
