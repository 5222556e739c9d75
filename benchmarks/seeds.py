"""The accuracy of heads trained by Meltpoint against heads trained by a plain loop, over seeds.

    python benchmarks/seeds.py [--seeds N]

Meltpoint's trainer and the loop of `careful_loop.py` train the head mix's recipes without augmentation, each with every
seed, on the same activations. The table compares the accuracy on val after the last epoch, averaged over the recipes of
a seed. A seed gives each contender other batches and other dropout masks.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import machines
import numpy as np
import torch
from careful_loop import train_head
from jobs import Job

from search_spaces import Recipe, load_spec
from service.plans.sharing import HELD_BYTES
from trainables.activations import SharingSettings
from trainables.stores.prepared import PreparedData, prepare_data
from trainables.training.trainer import Trainer

MIX = Path(__file__).parent / "mixes" / "head.yaml"
BATCH = 32


def main() -> None:
    """Train both ways with every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    spec = load_spec(MIX)
    recipes = [recipe for recipe in spec.points if recipe.augment.policy == "none"]
    with tempfile.TemporaryDirectory(prefix="meltpoint-seeds-") as scratch:
        data = prepare_data(spec.data, base_dir=spec.folder, root=Path(scratch) / "data")
        job = Job.from_spec(spec, scratch=Path(scratch) / "job")
        depth, count = recipes[0].freeze_depth, float(len(recipes) * len(seeds))
        sharing = SharingSettings(
            folder=str(Path(scratch) / "activations"),
            limit=10**9,
            memory=HELD_BYTES,
            trials={depth: count},
            readers={depth: count},
        )
        train, val = (_activations(data, recipes[0], split, sharing) for split in ("train", "val"))
        means_by_contender: dict[str, list[float]] = {"plain loop": [], "Meltpoint": []}
        for seed in seeds:
            print(f"seed {seed + 1} of {len(seeds)}", file=sys.stderr, flush=True)
            ours = [_trained(data, recipe, seed, job.epochs, sharing) for recipe in recipes]
            plain = [train_head(replace(job, seed=seed), recipe.flat(), train, val)[-1] for recipe in recipes]
            means_by_contender["Meltpoint"].append(statistics.mean(ours))
            means_by_contender["plain loop"].append(statistics.mean(history["val_accuracy"] for history in plain))
    about = machines.describe()
    print(
        f"{len(recipes)} recipes x {len(seeds)} seeds, {about['date']}, {about['machine']}, commit {about['commit']}\n"
    )
    print("| contender | mean accuracy | standard error | standard deviation over seeds |")
    print("| --- | --- | --- | --- |")
    for contender, means in means_by_contender.items():
        print(_row(contender, means))


def _trained(data: PreparedData, recipe: Recipe, seed: int, epochs: int, sharing: SharingSettings) -> float:
    """Train a recipe; return the accuracy on val after the last epoch."""
    trainer = Trainer(data, recipe, seed=seed, epochs=epochs, sharing=sharing)
    accuracy = 0.0
    for _ in range(epochs):
        accuracy = trainer.run_epoch().val.metrics["accuracy"]
    return accuracy


def _activations(data: PreparedData, recipe: Recipe, split: str, sharing: SharingSettings) -> torch.Tensor:
    """Return the activations of a split's images without augmentation, (1, N, F)."""
    rows = data.splits[split]
    features = Trainer(data, recipe, seed=0, sharing=sharing).features
    return torch.cat(list(features.iterate_images(np.split(rows, range(BATCH, len(rows), BATCH))))).unsqueeze(0)


def _row(contender: str, means: Sequence[float]) -> str:
    spread = statistics.stdev(means)
    return f"| {contender} | {statistics.mean(means):.4f} | {spread / len(means) ** 0.5:.4f} | {spread:.4f} |"


if __name__ == "__main__":
    main()
