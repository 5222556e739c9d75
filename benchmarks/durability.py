"""What keeping everything costs: the demo's sweep against one with its ledger in memory and an outbox nobody sends.

    python benchmarks/durability.py [SPEC] [--pairs N] [--set key=value]

Runs pairs in alternating order with a warm cache, each run in a home of its own that shares the images and activations
of the first. Prints, for each pair's differences, the median and a 95 % interval of the median (bootstrap): CPU seconds
of the driving process, and wall seconds from the first trial to the end of the sweep.
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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import machines
import psutil
from sides import HERE, MELTPOINT

DEMO = HERE.parent / "examples" / "solar_cells.yaml"
SHARED = ("data", "activations")
RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds: of the driving process's CPU, and of wall time while the sweep ran."""

    cpu: float
    wall: float


def run(arguments: Sequence[str], home: Path, *, kept: bool) -> Cost:
    """One sweep; kept: with the ledger on disk and MLflow told."""
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "MELTPOINT_HOME": str(home)}
    if not kept:
        environment["MELTPOINT_LEDGER"] = "sqlite://"
    command = [*MELTPOINT, "run", *arguments, "-o", "json"]
    cpu = 0.0
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            with suppress(psutil.Error):
                times = watched.cpu_times()
                cpu = max(cpu, times.user + times.system)
            time.sleep(0.05)
        assert process.stdout is not None
        outcome = json.loads(process.stdout.read())
    assert outcome["state"] == "completed", outcome
    return Cost(cpu=cpu, wall=outcome["seconds"])


def home_like(first: Path, scratch: Path, number: int) -> Path:
    """A fresh home with the images and activations of another, which are linked."""
    home = scratch / f"home-{number}"
    home.mkdir()
    for name in SHARED:
        shutil.copytree(first / name, home / name, copy_function=os.link)
    return home


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Of the median, by the percentile bootstrap."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(differences, k=len(differences))) for _ in range(RESAMPLES))
    return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", nargs="?", type=Path, default=DEMO)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--set", action="append", default=[], dest="assign")
    options = parser.parse_args()
    arguments = [str(options.spec), *(part for one in options.assign for part in ("--set", one))]
    pairs: list[tuple[Cost, Cost]] = []
    with tempfile.TemporaryDirectory(prefix="meltpoint-durability-") as folder:
        scratch = Path(folder)
        first = scratch / "first"
        run(arguments, first, kept=True)
        for number in range(options.pairs):
            found = {}
            for kept in (True, False) if number % 2 else (False, True):
                home = home_like(first, scratch, 2 * number + kept)
                found[kept] = run(arguments, home, kept=kept)
                shutil.rmtree(home)
            pairs.append((found[True], found[False]))
            print(f"pair {number + 1}/{options.pairs}: {found[True]} {found[False]}", file=sys.stderr, flush=True)
    about = machines.describe()
    print(f"{about['date']}; {about['machine']}; commit {about['commit']}; {options.pairs} pairs\n")
    print("| | kept | in memory | median difference | 95 % interval |\n| --- | --- | --- | --- | --- |")
    for name, title in (("cpu", "CPU seconds of the driver"), ("wall", "wall seconds of the sweep")):
        kept, bare = ([getattr(cost, name) for cost in side] for side in zip(*pairs, strict=True))
        differences = [x - y for x, y in zip(kept, bare, strict=True)]
        low, high = interval(differences)
        middle = statistics.median(differences)
        print(
            f"| {title} | {statistics.median(kept):.2f} | {statistics.median(bare):.2f} | {middle:+.2f} | "
            f"{low:+.2f} to {high:+.2f} |"
        )


if __name__ == "__main__":
    main()
