"""The table of experiments in docs/reliability.md. `make faults` runs this file.

python -m tests.faults.page EXPERIMENTS.json ...
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- results of `make faults` -->\n", "<!-- end -->\n"
NAMES = {
    0: "the demo's sweep: kill -9 of everything at a random moment, `meltpoint resume last`",
    1: "kill -9 a service, or its API alone, at random moments while sweeps are submitted to it",
    2: "kill -9 at a random moment: the driver alone, and everything at once; a driver of a service",
    3: "kill -9 the pool of workers of a service, and its Ray",
    5: "kill -9 a trial's process: once, and at every attempt",
    7: "the same Idempotency-Key 50 times at once, and after a restart",
    9: "a trial hangs (limit set to 4 s)",
    10: "a trial wants more memory than it may have",
    11: "the disk under checkpoints full for 3 s",
    12: "the disk under the ledger full",
    13: "Ray Tune's own files torn or gone",
    14: "a bit flipped in every newest checkpoint",
    15: "the clock 4 h ahead or behind after the restart",
    16: "MLflow's server away, then back",
    17: "MLflow behind a proxy that loses every fifth answer, and answers others with 500, 429 or after 4 s",
    18: "kill -9 the sender again and again",
    19: "cancel while running and while paused, twice; through a service also in every other state",
    20: "SIGTERM at a random moment, to the command and to a service",
    21: "restarts at random reports, each scheduler with each searcher",
    22: "damaged, empty and oversized images, empty classes, a loss that is not a number",
    23: "500 sweeps of 100 trials listed by 20 clients at once, then of 1,000 trials",
    24: "backup under load, restore; older schemas upgraded, newer refused",
}

Result = Mapping[str, Any]


def render(results: Sequence[Result], machine: str, date: str) -> str:
    """Return the table, a row an experiment."""
    lines = [
        f"{date}, {machine}.",
        "",
        "| # | experiment | runs | passed | worst recovery | points lost | points doubled |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number, name in NAMES.items():
        runs = [result for result in results if number in result["experiments"]]
        if runs:
            lines.append(f"| {number} | {name} | {' | '.join(_row(runs))} |")
    return "\n".join([*lines, ""])


def _row(results: Sequence[Result]) -> list[str]:
    runs = sum(_runs(result) for result in results)
    passed = sum(_runs(result) for result in results if result["passed"])
    recovery = max((result["recovery"] for result in results if "recovery" in result), default=None)
    counted = {name: [result[name] for result in results if name in result] for name in ("lost", "doubled")}
    counts = [sum(values) if values else "" for values in counted.values()]
    return [str(runs), str(passed), "" if recovery is None else f"{recovery:.1f} s", *map(str, counts)]


def _runs(result: Result) -> int:
    runs: int = result.get("kills", result["examples"])
    return runs


def _machine() -> str:
    listed = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in listed if line.startswith("model name")), "an unknown processor")
    memory = psutil.virtual_memory().total / 2**30
    commit = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True)
    return f"{psutil.cpu_count()} cores of {model}, {memory:.0f} GiB, commit {commit.stdout.strip()}"


def main() -> None:
    """Write the table into the page, from the files of a run or of several runs that did a part each."""
    results = [result for file in sys.argv[1:] for result in json.loads(Path(file).read_text())]
    text = PAGE.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    table = render(results, _machine(), datetime.now(UTC).date().isoformat())
    PAGE.write_text(f"{before}{BEGIN}{table}{END}{after}")


if __name__ == "__main__":
    main()
