"""The effect of each technique on the accuracy on the solar-cell photos: on and off, all else equal, over seeds.

    python benchmarks/techniques.py [--seeds N] [--epochs N] [--only TEXT] [--unshared] [--json FILE]

Every pair of recipes below is trained with the same seeds. All recipes of a seed are one sweep, so that they share
activations. The table shows for each pair the mean difference of the validation accuracy after the last epoch with its
95 % interval (Student's t over the seeds). The line above it shows the time of all sweeps. `--unshared` also runs the
first seed's sweep without the cache of activations, for the ratio.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machines
from contenders import run_meltpoint
from ruamel.yaml import YAML
from scipy import stats

Names = dict[str, Any]

PROBE: Names = {"freeze_depth": "all", "optimizer.name": "adamw", "optimizer.lr": 1e-3, "augment.policy": "flip"}
SGD: Names = PROBE | {"optimizer.name": "sgd", "optimizer.lr": 0.03}
HIDDEN: Names = PROBE | {"head.hidden": 128}
THAWED: Names = {"freeze_depth": -3, "optimizer.name": "nesterov", "optimizer.lr": 3e-3, "augment.policy": "flip"}
PLAIN: Names = PROBE | {"augment.policy": "none"}
CYCLES: Names = PROBE | {"schedule.name": "cosine_restarts", "schedule.cycles": 4}


@dataclass(frozen=True)
class Pair:
    """A technique: the recipe without it, and the values that it changes."""

    technique: str
    off: Names
    on: Names

    @property
    def with_it(self) -> Names:
        return self.off | self.on


def _optimizer(name: str, lr: float, **more: Any) -> Pair:
    changed = {"optimizer.name": name, "optimizer.lr": lr} | {f"optimizer.{key}": value for key, value in more.items()}
    return Pair(f"{name}, lr {lr:g}, for sgd, lr 0.03", SGD, changed)


def _schedule(name: str, **more: Any) -> Pair:
    return Pair(
        f"{name} rate", PROBE, {"schedule.name": name} | {f"schedule.{key}": value for key, value in more.items()}
    )


def _augmentation(policy: str) -> Pair:
    return Pair(f"augmentation {policy} for none", PLAIN, {"augment.policy": policy})


PAIRS = (
    *(_optimizer(name, 0.03) for name in ("momentum", "nesterov", "adagrad")),
    *(_optimizer(name, 1e-3) for name in ("rmsprop", "adam")),
    _optimizer("lion", 1e-4),
    Pair("L-BFGS, all images a step, for sgd", SGD, {"optimizer.name": "lbfgs", "optimizer.lr": 1.0, "batch_size": 0}),
    Pair(
        "weight decay 0.1 apart (adamw) for none",
        PROBE | {"optimizer.weight_decay": 0.0},
        {"optimizer.weight_decay": 0.1},
    ),
    *(_schedule(name) for name in ("step", "exponential", "1/t", "inverse_sqrt", "linear", "cosine")),
    Pair("warm-up of an epoch", PROBE | {"schedule.name": "cosine"}, {"schedule.warmup_epochs": 1}),
    Pair("l1 1e-4", PROBE, {"penalty.name": "l1", "penalty.l1": 1e-4}),
    Pair("l2 1e-3", PROBE, {"penalty.name": "l2", "penalty.l2": 1e-3}),
    Pair("elastic net 1e-4, 1e-3", PROBE, {"penalty.name": "elastic", "penalty.l1": 1e-4, "penalty.l2": 1e-3}),
    Pair("gradients clipped to 1", PROBE, {"clip.norm": 1.0}),
    Pair("dropout 0.5", HIDDEN, {"dropout.rate": 0.5}),
    Pair("dropout 0.5, vanilla", HIDDEN, {"dropout.rate": 0.5, "dropout.scaling": "vanilla"}),
    Pair("DropConnect 0.5", HIDDEN, {"dropout.rate": 0.5, "dropout.kind": "dropconnect"}),
    Pair("hidden layer of 128", PROBE, {"head.hidden": 128}),
    Pair("BatchNorm on the hidden layer", HIDDEN, {"head.norm": "batch"}),
    Pair("BatchNorm beside dropout 0.5", HIDDEN | {"dropout.rate": 0.5}, {"head.norm": "batch"}),
    Pair("max pool for mean", PROBE, {"head.pool": "max"}),
    Pair("fractional max pool for mean", PROBE, {"head.pool": "fractional_max"}),
    *(_augmentation(policy) for policy in ("flip", "flip_crop", "color", "lecture7")),
    Pair("cutout of half the side", PLAIN, {"augment.cutout": 0.5}),
    Pair("mixup 0.2", PROBE, {"mix.mixup": 0.2}),
    Pair("CutMix 1", PROBE, {"mix.cutmix": 1.0}),
    Pair("label smoothing 0.1", PROBE, {"mix.label_smoothing": 0.1}),
    Pair("Polyak averaging", PROBE, {"averaging.name": "polyak"}),
    Pair("snapshot ensemble", CYCLES, {"averaging.name": "snapshot"}),
    Pair("stochastic depth 0.2", THAWED, {"dropout.drop_path": 0.2}),
    Pair("one stage thawed for none", PROBE, {"freeze_depth": -1}),
    Pair("two stages thawed for none", PROBE, {"freeze_depth": -2}),
)


def recipes(pairs: Sequence[Pair]) -> list[Names]:
    """Return every recipe of the pairs once."""
    distinct: list[Names] = []
    for pair in pairs:
        distinct += [recipe for recipe in (pair.off, pair.with_it) if recipe not in distinct]
    return distinct


def sweep_file(folder: Path, pairs: Sequence[Pair], *, seed: int, epochs: int) -> Path:
    """Write the sweep file of all recipes of the pairs with one seed."""
    points = [{"augment.views": 4, **recipe} for recipe in recipes(pairs)]
    document = {
        "name": f"techniques-{seed}",
        "data": {"source": "elpv", "image_size": 128, "split": {"val": 0.2, "confirm": 0.1, "test": 0.2, "seed": 0}},
        "search": {
            "algorithm": "points",
            "seed": seed,
            "points": points,
        },
        "scheduler": {"type": "none"},
        "budget": {"epochs": epochs},
    }
    path = folder / f"techniques-{seed}.yaml"
    YAML().dump(document, path)
    return path


def rows(pairs: Sequence[Pair], accuracies: Sequence[Sequence[float]]) -> Iterator[str]:
    """Yield a row for each pair; accuracies: [seed][recipe]."""
    order = recipes(pairs)
    quantile = float(stats.t.ppf(0.975, len(accuracies) - 1))
    for pair in pairs:
        off, on = ([by_recipe[order.index(recipe)] for by_recipe in accuracies] for recipe in (pair.off, pair.with_it))
        differences = [with_it - without for with_it, without in zip(on, off, strict=True)]
        half = quantile * statistics.stdev(differences) / len(differences) ** 0.5
        mean = statistics.fmean(differences)
        clear = "**" if abs(mean) > half else ""
        yield (
            f"| {pair.technique} | {statistics.fmean(off):.4f} | {statistics.fmean(on):.4f} | "
            f"{clear}{mean:+.4f}{clear} | {mean - half:+.4f} to {mean + half:+.4f} |"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--unshared", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="only techniques whose name contains TEXT")
    options = parser.parse_args()
    pairs = [pair for pair in PAIRS if options.only in pair.technique]
    about = machines.describe()
    seconds: list[float] = []
    accuracies: list[list[float]] = []
    with tempfile.TemporaryDirectory(prefix="meltpoint-techniques-") as folder:
        for seed in range(options.seeds):
            path = sweep_file(Path(folder), pairs, seed=seed, epochs=options.epochs)
            run = run_meltpoint(path, Path(folder) / "home")
            print(f"seed {seed}: {run.seconds:.0f} s", file=sys.stderr, flush=True)
            seconds.append(run.seconds)
            accuracies.append(run.accuracies)
            if options.json:
                options.json.write_text(json.dumps({"about": about, "seconds": seconds, "accuracies": accuracies}))
        print(f"{about['date']}; {about['machine']}; commit {about['commit']}")
        work = f"{len(recipes(pairs))} recipes x {options.seeds} seeds x {options.epochs} epochs"
        print(f"{work}: {sum(seconds):,.0f} s in all\n")
        print("| technique | without | with | mean difference | 95 % interval |\n| --- | --- | --- | --- | --- |")
        print("\n".join(rows(pairs, accuracies)), flush=True)
        if options.unshared:
            path = sweep_file(Path(folder), pairs, seed=0, epochs=options.epochs)
            alone = run_meltpoint(path, Path(folder) / "unshared", ["data.cache=off"]).seconds
            print(f"\nThe first seed's sweep: {seconds[0]:,.0f} s; without the cache: {alone:,.0f} s")


if __name__ == "__main__":
    main()
