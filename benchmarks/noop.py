"""The cost of a trial and of a report if training costs nothing: everything included, also ledger and MLflow.

    python benchmarks/noop.py [--rounds N] [--plain-trials N]

500 trials x 20 epochs x 12 metrics. The contenders alternate: a plain Tune function trainable with MLflowLoggerCallback
(fewer trials, scaled), MLflow's client alone in a bare loop (a lower bound for everybody who writes to MLflow), and
Meltpoint with a report an epoch and with all epochs in one report, as in a sweep without early stopping.
The start of Ray and of the workers, once a sweep, is not counted for any contender.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping
from typing import Any

import machines
from contenders import HERE, run_json

TRIALS, EPOCHS, METRICS = 500, 20, 12
PLAIN = "(a) plain function trainable, a report an epoch"
MLFLOW = "MLflow's client alone, one batch a trial"
EACH = "Meltpoint, a report an epoch"
DESIGNED = "Meltpoint, all epochs in one report"
CONTENDERS: dict[str, list[str]] = {
    PLAIN: ["noop_plain.py"],
    MLFLOW: ["noop_mlflow.py"],
    EACH: ["noop_meltpoint.py", "--each-epoch"],
    DESIGNED: ["noop_meltpoint.py"],
}


def compare(*, rounds: int, plain_trials: int, tiny: bool) -> dict[str, Any]:
    """Measure every contender's milliseconds a trial, the median of `rounds`."""
    trials = dict.fromkeys(CONTENDERS, TRIALS) | {PLAIN: plain_trials}
    if tiny:
        trials = dict.fromkeys(CONTENDERS, 6)
    seconds: dict[str, list[dict[str, float]]] = {contender: [] for contender in CONTENDERS}
    for number in range(1, rounds + 1):
        for contender, (script, *flags) in CONTENDERS.items():
            print(
                f"noop, round {number}/{rounds}, {contender}, {trials[contender]} trials", file=sys.stderr, flush=True
            )
            shape = ["--trials", str(trials[contender]), "--epochs", str(EPOCHS), "--metrics", str(METRICS)]
            seconds[contender].append(run_json([sys.executable, str(HERE / script), *shape, *flags])[1])
    return {
        "epochs": EPOCHS,
        "metrics": METRICS,
        "trials": trials,
        "seconds": seconds,
        "milliseconds": {contender: _milliseconds(runs, trials[contender]) for contender, runs in seconds.items()},
    }


def _milliseconds(runs: list[dict[str, float]], trials: int) -> dict[str, float]:
    return {name: 1000 * statistics.median(run[name] for run in runs) / trials for name in runs[0]}


def as_markdown(result: Mapping[str, Any], about: Mapping[str, str]) -> str:
    """Return the table: the time of everything, and the time to the end of the last trial without the sender."""
    epochs, milliseconds = result["epochs"], result["milliseconds"]
    shapes = {
        trials: f"{trials} trials x {epochs} epochs x {result['metrics']} metrics"
        for trials in result["trials"].values()
    }
    lines = [
        "### no-op trials",
        "",
        f"{about['date']}; {about['machine']}; commit {about['commit']}",
        "",
        "| contender | ran | ms a trial, all in | ms an epoch, all in | of (a) | ms a trial until trained |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for contender, costs in milliseconds.items():
        share = f"1/{milliseconds[PLAIN]['sent'] / costs['sent']:.1f}"
        trained = f"{costs['trained']:.1f}" if "trained" in costs else "the same"
        ran = shapes[result["trials"][contender]]
        lines.append(
            f"| {contender} | {ran} | {costs['sent']:.1f} | {costs['sent'] / epochs:.2f} | {share} | {trained} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--plain-trials", type=int, default=50)
    parser.add_argument(
        "--tiny", action="store_true", help="6 trials a contender, only to see that every contender works"
    )
    options = parser.parse_args()
    result = compare(rounds=options.rounds, plain_trials=options.plain_trials, tiny=options.tiny)
    print(as_markdown(result, machines.describe()))


if __name__ == "__main__":
    main()
