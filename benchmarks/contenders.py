"""Run one contender of a comparison as a fresh process and time it, start-up included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MELTPOINT = [sys.executable, "-c", "from service.commands.app import script; script()"]
TITLES = {
    "a": "plain Ray Tune function trainable",
    "b": "careful loop over hand-made features",
    "c": "Meltpoint, cold",
    "d": "Meltpoint, warm",
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """Wall seconds of a whole process, and the final validation accuracy of each recipe, in the mix's order."""

    seconds: float
    accuracies: list[float]


def run_contender(contender: str, *, mix: Path, job: Path, folder: Path, home: Path, seed: int | None = None) -> Run:
    """Run contender a, b, c or d.

    Args:
        contender: The letter.
        mix: The sweep file of (c) and (d).
        job: The recipes and photos of (a) and (b).
        folder: An empty folder for the files that (a) and (b) write.
        home: An empty home for (c); for (d) the home that (c) left.
        seed: The seed of (c) and (d) in place of the mix's own; (a) and (b) read theirs from the job.
    """
    if contender == "a":
        return _script("plain_tune.py", str(job), "--folder", str(folder))
    if contender == "b":
        return _script("careful_loop.py", str(job), "--folder", str(folder))
    return run_meltpoint(mix, home, [] if seed is None else [f"search.seed={seed}"])


def run_json(command: Sequence[str], home: Path | None = None) -> tuple[float, Any]:
    """Return the wall seconds of a command, and the JSON that it prints; its stderr goes to ours.

    Raises:
        RuntimeError: the command failed; the message has its exit code.
    """
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)} | ({"MELTPOINT_HOME": str(home)} if home else {})
    # With this variable Ray's workers compile every module that they import anew, in every run of every contender.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with code {done.returncode}")
    return seconds, json.loads(_last_json(done.stdout.decode()))


def _last_json(text: str) -> str:
    """Return the JSON at the end of the output; libraries may have printed something before it."""
    lines = text.splitlines()
    start = max(number for number, line in enumerate(lines) if line.startswith(("{", "[")))
    return "\n".join(lines[start:])


def _script(name: str, *arguments: str) -> Run:
    seconds, printed = run_json([sys.executable, str(HERE / name), *arguments])
    return Run(seconds=seconds, accuracies=printed["accuracies"])


def run_meltpoint(spec: Path, home: Path, changes: Sequence[str] = ()) -> Run:
    """Run a list of recipes whose trials all complete; changes: KEY=VALUE, in the form that `--set` takes."""
    assigned = [part for change in changes for part in ("--set", change)]
    seconds, outcome = run_json([*MELTPOINT, "run", str(spec), *assigned, "-o", "json"], home)
    _, trials = run_json([*MELTPOINT, "trials", outcome["sweep_id"], "-o", "json"], home)
    assert all(trial["state"] == "completed" for trial in trials), trials
    by_number = sorted(trials, key=lambda trial: int(trial["trial_id"].rpartition("-")[2]))
    return Run(seconds=seconds, accuracies=[trial["metrics"]["val/accuracy"] for trial in by_number])
