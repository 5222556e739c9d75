"""Measure what a confirmation costs: retrainings against trials of the same recipes in the cold sweep of the same run.

    python benchmarks/confirmation_cost.py [--source elpv] [--size 128] [--seeds 3]

Each recipe is trained once in a sweep with an empty home, and then anew on fresh seeds. Start-up is apart: a training's
time is that of its epochs. The images that a training computed at the freeze boundary, and those that it read from the
node's cache, come from the ledger. Recipes with the same views share them within a seed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import machines

from service.clocks import now_ms
from service.ledgers import Json, Ledger, Trial, TrialPhase

GROUPS: dict[str, tuple[Json, ...]] = {
    "linear probes": ({"freeze_depth": "all"}, {"freeze_depth": "all", "augment.policy": "flip_crop"}),
    "the last stage thawed": ({"freeze_depth": -1}, {"freeze_depth": -1, "augment.policy": "flip_crop"}),
    "three finalists that share a view": tuple(
        {"freeze_depth": "all", "augment.policy": "flip_crop", "dropout.rate": rate} for rate in (0.0, 0.3, 0.5)
    ),
}
"""Recipes by group, each group with an empty home.

In the first two, every trial of the cold sweep computes its own activations. Those of a recipe without augmentation
stay the same with another seed; those of the policy are new with each.
"""

SPEC = """
name: confirmation-cost
data: {source: SOURCE, image_size: SIZE}
search: {algorithm: points, seed: 0, points: POINTS}
budget: {epochs: 3}
resources: {gpu: 0}
confirm: {top_k: TOP, seeds: SEEDS}
"""


def main() -> None:
    """Run the sweep with its confirmation, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="elpv")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="an empty folder for the home; by default a temporary one")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="confirmation-cost-"))
    print(f"{', '.join(machines.describe().values())}; {options.source} at {options.size} px, {options.seeds} seeds")
    for number, (name, points) in enumerate(GROUPS.items()):
        home = folder / f"group-{number}"
        _run(home, points, options)
        with closing(Ledger.open_file(home / "home" / "ledger.db", clock=now_ms)) as ledger:
            (sweep,) = ledger.sweeps.list()
            retrained = ledger.trials.list(sweep.id, TrialPhase.CONFIRM)
            rows = list(_rows(ledger, points, ledger.trials.list(sweep.id), retrained))
        print(f"\n{name}:\n")
        print("| recipe | trial, cold | retraining, median | ratio | images computed, trial | each retraining |")
        print("| --- | --- | --- | --- | --- | --- |")
        for row in rows:
            print("| " + " | ".join(row) + " |", flush=True)


def _run(folder: Path, points: Sequence[Json], options: argparse.Namespace) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = SPEC.replace("SOURCE", options.source).replace("SIZE", str(options.size))
    text = text.replace("POINTS", str(list(points)).replace("'", '"')).replace("TOP", str(len(points) - 1))
    spec = folder / "confirmation-cost.yaml"
    spec.write_text(text.replace("SEEDS", str(options.seeds)))
    environment = os.environ | {"MELTPOINT_HOME": str(folder / "home")}
    command = [sys.executable, "-c", "from service.commands.app import main; main()", "run", str(spec)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _rows(ledger: Ledger, points: Sequence[Json], searched: list[Trial], retrained: list[Trial]) -> Iterator[list[str]]:
    seconds = {
        trial.id: sum(row.seconds for row in ledger.trials.epochs(trial.id)) for trial in [*searched, *retrained]
    }
    for trial in searched:
        mine = [other for other in retrained if other.identity == trial.identity]
        median = statistics.median(seconds[other.id] for other in mine)
        yield [
            ", ".join(f"{name} {value}" for name, value in points[trial.number].items()),
            f"{seconds[trial.id]:.1f} s",
            f"{median:.1f} s",
            f"{median / seconds[trial.id]:.2f}",
            _computed(trial),
            ", ".join(_computed(other) for other in mine),
        ]


def _computed(trial: Trial) -> str:
    sharing = trial.sharing or {"computed": 0, "read": 0}
    return f"{sharing['computed']} (read {sharing['read']})"


if __name__ == "__main__":
    main()
