"""The cost of keeping everything: the demo's sweep, the same with its ledger in memory, and without an MLflow server.

    python benchmarks/durability.py [SPEC] [--rounds N] [--set key=value]

Each round runs three contenders, in an order that rotates: "kept" (ledger on disk, everything sent to MLflow), "in
memory" (ledger in memory), and "MLflow away" (ledger on disk, no MLflow server). Each contender has a home in which the
same sweep ran once before, so that images and activations are there. The table shows the differences within a round, as
a median with its 95 % interval (bootstrap): of the CPU seconds of the driver, of the CPU seconds of the process that
sends to MLflow, and of the wall seconds from the first trial to the end of the sweep.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import machines
import psutil
from contenders import HERE, MELTPOINT

DEMO = HERE.parent / "examples" / "solar_cells.yaml"
LINKED = ("data", "activations")
SENDER = "sweep:sender"
NOBODY = "http://127.0.0.1:9"
RESAMPLES = 10_000
TITLES = {"driver": "CPU seconds, driver", "sender": "CPU seconds, sender", "wall": "wall seconds of the sweep"}


class Contender(StrEnum):
    """A way to keep a sweep; the value is the table's word."""

    KEPT = "kept"
    IN_MEMORY = "in memory"
    AWAY = "MLflow away"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that make a sweep this contender."""
        if self is Contender.KEPT:
            return {}
        return {"MELTPOINT_LEDGER": "sqlite://"} if self is Contender.IN_MEMORY else {"MLFLOW_TRACKING_URI": NOBODY}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """CPU seconds of the driver and of the process that sends to MLflow, and wall seconds of the sweep."""

    driver: float
    sender: float
    wall: float


def run(arguments: Sequence[str], home: Path, contender: Contender) -> Cost:
    """Run the sweep.

    Raises:
        RuntimeError: the sweep failed; the message is its output.
    """
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "MELTPOINT_HOME": str(home)} | contender.environment
    command = [*MELTPOINT, "run", *arguments, "-o", "json"]
    seconds: dict[int, float] = {}
    senders: list[int] = []
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        while process.poll() is None:
            with suppress(psutil.Error):
                senders = senders or [p.pid for p in psutil.Process(process.pid).children(True) if p.name() == SENDER]
            for pid in (process.pid, *senders):
                with suppress(psutil.Error):
                    times = psutil.Process(pid).cpu_times()
                    seconds[pid] = times.user + times.system
            time.sleep(0.1)
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(errors.read().decode())
        assert process.stdout is not None
        outcome = json.loads(process.stdout.read())
    assert outcome["state"] == "completed", outcome
    sent = sum(seconds[pid] for pid in senders if pid in seconds)
    return Cost(driver=seconds[process.pid], sender=sent, wall=outcome["seconds"])


def home_like(first: Path, scratch: Path, number: int) -> Path:
    """Copy a home in which a sweep ran: link its images and activations, copy its databases."""
    home = scratch / f"home-{number}"
    home.mkdir()
    for name in LINKED:
        shutil.copytree(first / name, home / name, copy_function=os.link)
    for database in first.glob("*.db"):
        shutil.copy(database, home)
    return home


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median, by the percentile bootstrap."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(differences, k=len(differences))) for _ in range(RESAMPLES))
    return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES)]


def rows(rounds: Sequence[dict[Contender, Cost]], contender: Contender, other: Contender) -> Iterator[str]:
    """Return the table's lines that compare one contender with another."""
    for name, title in TITLES.items():
        here, there = ([getattr(costs[which], name) for costs in rounds] for which in (contender, other))
        differences = [x - y for x, y in zip(here, there, strict=True)]
        low, high = interval(differences)
        cells = [f"{statistics.median(here):.2f}", f"{statistics.median(there):.2f}"]
        cells += [f"{statistics.median(differences):+.2f}", f"{low:+.2f} to {high:+.2f}"]
        yield f"| {title}: {contender}, {other} | {' | '.join(cells)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", nargs="?", type=Path, default=DEMO)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--set", action="append", default=[], dest="assign")
    options = parser.parse_args()
    arguments = [str(options.spec), *(part for change in options.assign for part in ("--set", change))]
    contenders = list(Contender)
    rounds: list[dict[Contender, Cost]] = []
    with tempfile.TemporaryDirectory(prefix="meltpoint-durability-") as folder:
        scratch = Path(folder)
        first = scratch / "first"
        run(arguments, first, Contender.KEPT)
        for number in range(options.rounds):
            costs: dict[Contender, Cost] = {}
            turned = contenders[number % 3 :] + contenders[: number % 3]
            for contender in turned:
                home = home_like(first, scratch, len(rounds) * 3 + len(costs))
                costs[contender] = run(arguments, home, contender)
                print(
                    f"round {number + 1}/{options.rounds}, {contender}: {costs[contender]}", file=sys.stderr, flush=True
                )
                shutil.rmtree(home)
            rounds.append(costs)
    about = machines.describe()
    print(f"{about['date']}; {about['machine']}; commit {about['commit']}; {options.rounds} rounds\n")
    print("| | first | second | median difference | 95 % interval |\n| --- | --- | --- | --- | --- |")
    for contender, other in ((Contender.KEPT, Contender.IN_MEMORY), (Contender.AWAY, Contender.KEPT)):
        print("\n".join(rows(rounds, contender, other)))


if __name__ == "__main__":
    main()
