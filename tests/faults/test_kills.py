"""A sweep that is killed or told to end at a random moment goes on, and ends as one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.ledgers import Trial, TrialState
from tests.faults.programs import Place, kill_all, points_in_mlflow, states_in_mlflow

pytestmark = pytest.mark.ray

MOST_SECONDS = 4.0
HOURS = 3600 * 10**9

Record = Callable[[str, object], None]


def some_moment() -> float:
    """Seconds after the first epoch; the sweep trains for about as long."""
    return random.Random(os.urandom(8)).uniform(0.0, MOST_SECONDS)


def ends_as(place: Place, whole: Place, finished: list[Trial], record: Record, *assign: str) -> None:
    """Resume, and compare with the sweep that nothing befell."""
    resume = place.start("resume", "last", *assign)
    record("recovery", place.seconds_until_trained_again(resume))
    _, said = resume.communicate(timeout=180)
    assert resume.returncode == 0, said
    after = {trial.id: trial for trial in place.trials()}
    assert [after[trial.id] for trial in finished] == finished, "a finished trial was touched"
    assert place.leaderboard() == whole.leaderboard()
    here, there = (points_in_mlflow(f"sqlite:///{one.home / 'mlflow.db'}") for one in (place, whole))
    points = {(name[-4:], step): count for (name, step), count in here.items()}
    expected = {(name[-4:], step) for name, step in there}
    record("lost", len(expected - points.keys()))
    record("doubled", sum(count - 1 for count in points.values()))
    assert points == dict.fromkeys(expected, 1)


def finished_of(place: Place) -> list[Trial]:
    """As they stand; what MLflow calls them may still be noted."""
    return [trial for trial in place.trials() if trial.state.is_finished and trial.mlflow_run_id]


@pytest.mark.experiment(2, 13, 14, 15, 20)
def test_paused_damaged_and_then_killed(
    place: Place, whole: Place, turn: int, tmp_path: Path, record_property: Record
) -> None:
    """All that the others try one by one."""
    process = place.start("run", "sweep.yaml")
    place.await_epochs(process)
    assert "next: meltpoint resume s-" in _said(place, "pause").stderr
    process.communicate(timeout=60)
    assert process.returncode == 1
    statuses = {"paused": "KILLED", "completed": "FINISHED"}
    trials = {trial.id: trial.state.value for trial in place.trials()}
    told = states_in_mlflow(f"sqlite:///{place.home / 'mlflow.db'}")
    assert told == {trial_id: (state, statuses[state]) for trial_id, state in trials.items()}
    finished = finished_of(place)
    _tear_tunes_files(place, turn)
    _flip_a_bit(place)
    place.variables["PYTHONPATH"] = _moved_clock(tmp_path, 4 * HOURS)
    resumed = place.start("resume", "last")
    place.seconds_until_trained_again(resumed)
    time.sleep(some_moment() / 4)
    kill_all(resumed)
    assert place.said("status", "last")["state"] == "interrupted"
    ends_as(place, whole, finished, record_property)
    told = states_in_mlflow(f"sqlite:///{place.home / 'mlflow.db'}")
    assert set(told.values()) == {("completed", "FINISHED")}


@pytest.mark.thorough
@pytest.mark.experiment(2, runs=10)
@pytest.mark.parametrize("who", ["driver", "all"])
def test_killed_at_a_random_moment(place: Place, whole: Place, turn: int, who: str, record_property: Record) -> None:
    process = place.start("run", "sweep.yaml")
    place.await_epochs(process)
    moment = some_moment()
    time.sleep(moment)
    record_property("moment", moment)
    if who == "all":
        kill_all(process)
    else:
        process.kill()
        process.communicate()
        place.await_end()
    ends_as(place, whole, finished_of(place), record_property)


@pytest.mark.thorough
@pytest.mark.experiment(20, runs=10)
def test_told_to_end_with_notice(place: Place, whole: Place, turn: int, record_property: Record) -> None:
    _told_to_end(place)
    ends_as(place, whole, finished_of(place), record_property)


def _told_to_end(place: Place) -> None:
    process = place.start("run", "sweep.yaml")
    place.await_epochs(process)
    time.sleep(some_moment() / 2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    if process.returncode:  # it had not ended already
        assert "paused" in said
        assert "next: meltpoint resume s-" in said
    for trial in place.trials():
        assert trial.state in (TrialState.PAUSED, TrialState.COMPLETED)
        if trial.state is TrialState.PAUSED and trial.epochs:
            assert trial.latest is not None
            assert Path(trial.latest).name.startswith(f"epoch-{trial.epochs:06d}-")
            assert Path(trial.latest).exists()


@pytest.mark.thorough
@pytest.mark.experiment(13, 14, 15, runs=2)
@pytest.mark.parametrize("damage", ["tune", "checkpoint", "clock"])
def test_told_to_end_and_damaged_before_it_goes_on(
    place: Place, whole: Place, turn: int, damage: str, tmp_path: Path, record_property: Record
) -> None:
    _told_to_end(place)
    finished = finished_of(place)
    if damage == "tune":
        _tear_tunes_files(place, turn)
    if damage == "checkpoint":
        _flip_a_bit(place)
    if damage == "clock":
        place.variables["PYTHONPATH"] = _moved_clock(tmp_path, 4 * HOURS * (-1) ** turn)
    ends_as(place, whole, finished, record_property)


def _tear_tunes_files(place: Place, turn: int) -> None:
    files = [path for path in place.home.glob("sweeps/*/tune/**/*") if path.is_file()]
    assert files
    for path in files:
        if turn % 2:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip_a_bit(place: Place) -> None:
    """In every newest checkpoint, in the middle."""
    for trial in place.trials():
        if trial.state is TrialState.PAUSED and trial.latest is not None:
            path = Path(trial.latest)
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)


def _moved_clock(tmp_path: Path, nanoseconds: int) -> str:
    """A folder from which Python takes another time of day."""
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        f"import time\ntold = time.time_ns\ntime.time_ns = lambda: told() + {nanoseconds}\n"
    )
    return str(folder)


@pytest.mark.thorough
@pytest.mark.experiment(19, runs=2)
@pytest.mark.parametrize("state", ["running", "paused"])
def test_cancelled_from_elsewhere(place: Place, turn: int, state: str, record_property: Record) -> None:
    process = place.start("run", "sweep.yaml")
    place.await_epochs(process)
    if state == "paused":
        assert _said(place, "pause").returncode == 0
    began = time.monotonic()
    cancel = _said(place, "cancel")
    assert cancel.returncode == 0, cancel.stderr
    record_property("recovery", time.monotonic() - began)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert place.said("status", "last")["state"] == "cancelled"
    assert {trial.state for trial in place.trials()} <= {TrialState.CANCELLED, TrialState.COMPLETED}
    again = _said(place, "cancel")
    assert (again.returncode, "is cancelled: there is nothing to cancel" in again.stderr) == (2, True)
    assert "is cancelled and cannot be resumed" in _said(place, "resume").stderr
    place.await_end()


@pytest.mark.thorough
@pytest.mark.experiment(19)
def test_stopped_from_elsewhere_and_given_more(place: Place, turn: int) -> None:
    process = place.start("run", "sweep.yaml")
    place.await_epochs(process)
    stop = _said(place, "stop")
    assert stop.returncode == 0, stop.stderr
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    before = place.trials()
    assert place.said("status", "last")["state"] in ("stopped", "completed")
    assert {trial.state for trial in before} == {TrialState.COMPLETED}
    if len(before) < 4:
        assert place.said("resume", "last")["state"] == "completed"
    assert len(place.trials()) == 4


def _said(place: Place, command: str) -> subprocess.CompletedProcess[str]:
    process = place.start(command, "last")
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


DEMO = Path(__file__).parents[2] / "examples" / "solar_cells.yaml"


@pytest.mark.thorough
@pytest.mark.experiment(0, runs=10)
def test_the_demo_killed_at_a_random_moment(turn: int, tmp_path: Path, record_property: Record) -> None:
    """Which trials are stopped early depends on the order of reports; that all end, and count once, does not.

    Its limit of four minutes is lifted: other work on the machine may make it longer.
    """
    place = Place(tmp_path, tmp_path / "home")
    process = place.start("run", str(DEMO), "--set", "budget.wall=1h")
    place.await_epochs(process, 900)
    time.sleep(random.Random(os.urandom(8)).uniform(0.0, 60.0))
    kill_all(process)
    finished = finished_of(place)
    resume = place.start("resume", "last")
    record_property("recovery", place.seconds_until_trained_again(resume))
    _, said = resume.communicate(timeout=1800)
    assert resume.returncode == 0, said
    trials = {trial.id: trial for trial in place.trials()}
    assert [trials[trial.id] for trial in finished] == finished, "a finished trial was touched"
    assert len(trials) == 12
    assert {trial.state for trial in trials.values()} <= {TrialState.COMPLETED, TrialState.PRUNED}
    points = points_in_mlflow(f"sqlite:///{place.home / 'mlflow.db'}")
    expected = {(trial.id, epoch) for trial in trials.values() for epoch in range(1, trial.epochs + 1)}
    record_property("lost", len(expected - points.keys()))
    record_property("doubled", sum(count - 1 for count in points.values()))
    assert points == dict.fromkeys(expected, 1)
    place.await_end()
