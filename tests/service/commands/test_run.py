"""`meltpoint run` in a process of its own, and the commands after it: their output, and no process left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from service.clocks import now_ms
from service.ledgers import Ledger, SweepState
from tests.errors.cases import meltpoint

MELTPOINT = Path(sys.executable).with_name("meltpoint")

SPEC = """\
name: small
data: {source: photos, image_size: 32}
space: {backbone: timm/test_efficientnet, weights: random, batch_size: 16, dropout.rate: {min: 0.0, max: 0.5}}
search: {algorithm: random}
budget: {trials: 8, epochs: EPOCHS}
resources: {gpu: 0}
"""

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture(scope="module")
def place(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with photos, a short and an endless sweep file, and a home."""
    place = tmp_path_factory.mktemp("place")
    shutil.copytree(tiny_folder, place / "photos")
    (place / "short.yaml").write_text(SPEC.replace("EPOCHS", "1"))
    (place / "endless.yaml").write_text(SPEC.replace("EPOCHS", "100000"))
    return place


def environment(place: Path) -> dict[str, str]:
    return {**os.environ, "MELTPOINT_HOME": str(place / "home"), "NO_COLOR": "1"}


def output_of(place: Path, *arguments: str) -> str:
    """Return what a command that reads the home prints."""
    result = meltpoint([*arguments, "--home", str(place / "home")])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def left_behind(place: Path) -> list[str]:
    """Return the processes that still have this home in their environment."""
    commands = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MELTPOINT_HOME") == str(place / "home"):
                commands.append(" ".join(process.cmdline())[:80])
        except psutil.Error:
            continue
    return commands


def test_stdout_is_one_object_and_the_rest_agrees_with_it(place: Path) -> None:
    command = [str(MELTPOINT), "run", str(place / "short.yaml"), "-o", "json", "--set", "budget.trials=3"]
    run = subprocess.run(command, cwd="/", env=environment(place), capture_output=True, text=True, timeout=180)
    assert run.returncode == 0, run.stderr
    outcome = json.loads(run.stdout)
    assert (outcome["state"], outcome["counts"]["completed"]) == ("completed", 3)
    assert "Traceback" not in run.stderr
    assert f"next: meltpoint confirm {outcome['sweep_id']}" in run.stderr
    assert left_behind(place) == []
    (kept,) = (place / "home" / "mlflow-artifacts").rglob("spec/short.yaml")
    assert kept.read_text().startswith("# The sweep file with\n# --set budget.trials=3\nname: small\n")

    trials = json.loads(output_of(place, "trials", "last", "-o", "json"))
    assert trials[0]["trial_id"] == outcome["best"]["trial_id"]
    assert len(json.loads(output_of(place, "trials", "small", "--top", "2", "-o", "json"))) == 2
    status = json.loads(output_of(place, "status", outcome["sweep_id"][2:5], "-o", "json"))
    assert (status["state"], status["unsent"], status["best"]) == ("completed", 0, outcome["best"])
    (listed,) = json.loads(output_of(place, "ls", "-o", "json"))
    assert listed["best_value"] == outcome["best"]["metrics"]["best/val/accuracy"]
    assert output_of(place, "trials", "last", "-o", "csv").count("\n") == 4
    assert "optimizer.name: adamw" in output_of(place, "trials", "last", "-o", "yaml")


def test_ctrl_c_twice_interrupts_and_leaves_nothing_running(place: Path) -> None:
    with _started(place) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in errors
    (newest, *_) = json.loads(output_of(place, "ls", "-o", "json"))
    assert newest["state"] in ("interrupted", "paused")  # "paused" if the trials ended before the second signal
    assert "next: meltpoint resume s-" in errors
    states = {trial["state"] for trial in json.loads(output_of(place, "trials", "last", "-o", "json"))}
    assert states == {"paused"}
    assert left_behind(place) == []


def _started(place: Path) -> subprocess.Popen[str]:
    """Start a sweep without an end, and wait until a trial has finished an epoch."""
    command = [str(MELTPOINT), "run", str(place / "endless.yaml")]
    process = subprocess.Popen(
        command, cwd="/", env=environment(place), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    for _ in range(1200):
        time.sleep(0.1)
        if _trains(place):
            return process
    raise AssertionError("no trial trained within two minutes")


def _trains(place: Path) -> bool:
    """Return if a trial of a running sweep has finished an epoch."""
    if not (place / "home" / "ledger.db").exists():
        return False
    with closing(Ledger.open_file(place / "home" / "ledger.db", clock=now_ms)) as ledger:
        running = [sweep for sweep in ledger.sweeps.list() if sweep.state is SweepState.RUNNING]
        trials = [trial for sweep in running for trial in ledger.trials.list(sweep.id)]
        return any(ledger.trials.epochs(trial.id) for trial in trials)
