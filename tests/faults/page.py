"""The table of experiments in docs/reliability.md. `make faults` runs this file.

python -m tests.faults.page EXPERIMENTS.json ... [--commit COMMIT]
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- results of `make faults` -->\n", "<!-- end -->\n"
NAMES: dict[str, str] = {
    "0": "the demo's sweep: kill -9 of everything at a random moment, `meltpoint resume last`",
    "1 API": "kill -9 a service's API at random moments while sweeps are submitted to it",
    "1 service": "kill -9 a whole service, on SQLite and on PostgreSQL; another one takes over, or it starts again",
    "2": "kill -9 at a random moment: the driver alone, and everything at once",
    "2 service": "kill -9 a driver of a service at a random moment",
    "3": "kill -9 the pool of workers of a service, and its Ray",
    "3 head": "kill -9 the head of a cluster of two nodes; it starts again with nothing of its state",
    "4": "cut the power of a node of a cluster: its trials go on elsewhere from their checkpoints",
    "5": "kill -9 a trial's process: once, and at every attempt",
    "6": "stop all processes of a node for 120 s, then let them go on",
    "7": "the same Idempotency-Key 50 times at once, and after a restart",
    "8": "cut a node from the rest of its cluster for 30 s: no trial fails",
    "8 long": "cut a node from the rest of its cluster for 180 s",
    "9": "a trial hangs (limit set to 4 s)",
    "10": "a trial wants more memory than it may have",
    "11": "the disk under checkpoints full for 3 s",
    "12": "the disk under the ledger full",
    "13": "Ray Tune's own files torn or gone",
    "14": "a bit flipped in every newest checkpoint",
    "15": "the clock 4 h ahead or behind after the restart",
    "16": "MLflow's server away, then back",
    "17": "MLflow behind a proxy that loses every fifth answer, and answers others with 500, 429 or after 4 s",
    "18": "kill -9 the sender again and again",
    "19": "cancel while running and while paused, twice",
    "19 service": "cancel a sweep of a service in every state, twice",
    "20": "SIGTERM at a random moment",
    "20 service": "SIGTERM to a service at a random moment, two sweeps under way",
    "20 node": "SIGTERM to a node of a cluster: its trials leave within the notice, and go on elsewhere",
    "21": "restarts at random reports, each scheduler with each searcher",
    "22": "damaged, empty and oversized images, empty classes, a loss that is not a number",
    "23 lists": "500 sweeps of 100 trials listed by 20 clients at once, then of 1,000 trials",
    "23 no-op": "1,000 trials that do nothing",
    "23 soak": "small sweeps of two users for hours",
    "24": "backup under load, restore; older schemas upgraded, newer refused",
    "25": "three sweeps of two users at once: each has begun a trial within 5 s",
    "26": "ten sweeps of a user beside one of another: each user has 40 to 60 % of the slots for five minutes",
}
"""The rows by key: the number in the list of experiments, and the part if an experiment has several rows."""

COLUMNS = ("#", "experiment", "runs", "passed", "worst recovery", "points lost", "points doubled", "measured")

Result = Mapping[str, Any]
Cells = Sequence[str]


def render(results: Sequence[Result], kept: Mapping[str, Cells], measured: str) -> str:
    """Return the table, a row an experiment.

    kept: rows of an older table, by `key_of`, for experiments without results. measured: date and commit.
    """
    rows: list[Cells] = [COLUMNS, ["---"] * len(COLUMNS)]
    for key, name in NAMES.items():
        runs = [result for result in results if key in map(str, result["experiments"])]
        number = key.partition(" ")[0]
        if runs:
            rows.append([number, name, *_row(runs), measured])
        elif key_of(number, name) in kept:
            rows.append(kept[key_of(number, name)])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def read_rows(table: str) -> dict[str, Cells]:
    """Return the rows of a table that `render` has written, by `key_of`."""
    lines = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in table.splitlines()[2:]]
    return {key_of(*cells[:2]): cells for cells in lines}


def key_of(number: str, name: str) -> str:
    """Return the key of a row in a table; a row whose experiment has changed its name counts as another."""
    return f"{number} {name}"


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


def _commit() -> str:
    command = ["git", "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Write the results of one or several runs into the page; rows of other experiments stay as they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--commit", default=_commit(), help="commit that was measured; default: the one checked out")
    options = parser.parse_args()
    results = [result for file in options.files for result in json.loads(file.read_text())]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    table, _, after = rest.partition(END)
    measured = f"{datetime.now(UTC).date().isoformat()}, {options.commit}"
    PAGE.write_text(f"{before}{BEGIN}{render(results, read_rows(table), measured)}{END}{after}")


if __name__ == "__main__":
    main()
