"""The cost of many trials and many nodes, beside Ray Tune alone, with trials that do nothing.

    python benchmarks/scale.py nodes  [--trials 1000] [--rounds 3]     4 and 16 nodes, against Tune alone on 4
    python benchmarks/scale.py trials [--trials 10000]                 time and memory of one long sweep

20 epochs of 12 metrics. All nodes are on this machine and share its cores, so that more nodes give no more trials a
second: the figures are what nodes cost. The start of Ray and of the workers, once a sweep, is left out.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping
from typing import Any

import machines
from contenders import HERE, run_json

Json = dict[str, Any]

PLAIN = "plain function trainable with MLflowLoggerCallback, 4 nodes"
TUNED = "class trainable, reused actors, no loggers, no MLflow, 4 nodes"
FOUR, SIXTEEN = "Meltpoint, 4 nodes", "Meltpoint, 16 nodes"
PLAIN_SHARE = 10
"""The plain contender runs so many times fewer trials, since each takes so much longer."""


def compare_nodes(*, trials: int, rounds: int) -> Json:
    """Return trials a second and the driver's CPU milliseconds a trial, by contender; medians of `rounds`."""
    contenders = {
        PLAIN: ("scale_plain.py", 4, max(8, trials // PLAIN_SHARE), []),
        TUNED: ("scale_plain.py", 4, trials, ["--tuned"]),
        FOUR: ("scale_meltpoint.py", 4, trials, []),
        SIXTEEN: ("scale_meltpoint.py", 16, trials, []),
    }
    rows: dict[str, list[Json]] = {name: [] for name in contenders}
    for number in range(1, rounds + 1):
        for name, (script, nodes, count, flags) in contenders.items():
            print(f"scale, round {number}/{rounds}, {name}, {count} trials", file=sys.stderr, flush=True)
            shape = ["--trials", str(count), "--nodes", str(nodes)]
            costs = run_json([sys.executable, str(HERE / script), *shape, *flags])[1]
            print(f"  {count / costs['sent']:.1f} trials a second, all in", file=sys.stderr, flush=True)
            rows[name].append(
                {
                    "all in": count / costs["sent"],
                    "trained": count / costs.get("trained", costs["sent"]),
                    "cpu": 1000 * costs.get("cpu_trained", costs.get("cpu", 0.0)) / count,
                }
            )
    return {
        name: {key: statistics.median(row[key] for row in runs) for key in runs[0]} | {"trials": contenders[name][2]}
        for name, runs in rows.items()
    }


def nodes_table(result: Mapping[str, Json]) -> list[str]:
    """Return the table of `compare_nodes` in Markdown."""
    plain = result[PLAIN]["all in"]
    lines = [
        "| contender | trials | trials a second until trained | with MLflow | times plain | driver's CPU ms a trial |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in result.items():
        sent = "no MLflow" if name == TUNED else f"{row['all in']:.1f}"
        times = f"{row['all in'] / plain:.1f}"
        lines.append(f"| {name} | {row['trials']} | {row['trained']:.1f} | {sent} | {times} | {row['cpu']:.1f} |")
    return lines


def measure_trials(*, trials: int) -> Json:
    """Return the costs of one long sweep on 4 nodes, whose messages to MLflow stay in the ledger."""
    command = [sys.executable, str(HERE / "scale_meltpoint.py"), "--trials", str(trials), "--nodes", "4"]
    result: Json = run_json([*command, "--without-mlflow"])[1]
    return result


def trials_table(result: Mapping[str, Any]) -> list[str]:
    """Return the table of `measure_trials` in Markdown."""
    lines = ["| trials | seconds | driver's CPU s | driver's memory, MB |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {mark['trials']} | {mark['seconds']:.1f} | {mark['cpu']:.1f} | {mark['memory']:.0f} |"
        for mark in result["marks"]
    ]
    took = ", ".join(f"`{name}` {1000 * seconds:.0f} ms" for name, seconds in result["commands"].items())
    return [*lines, "", f"Afterwards, as typed, the start of the process included: {took}."]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["nodes", "trials"])
    parser.add_argument("--trials", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    about = machines.describe()
    if options.what == "nodes":
        table = nodes_table(compare_nodes(trials=options.trials or 1000, rounds=options.rounds))
    else:
        table = trials_table(measure_trials(trials=options.trials or 10_000))
    print("\n".join([f"{about['date']}; {about['machine']}; commit {about['commit']}", "", *table]))


if __name__ == "__main__":
    main()
