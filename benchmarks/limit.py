"""The time of a sweep over the least time that its recipes need on this machine.

    python benchmarks/limit.py [head|uniform|MIX.yaml] [--warm RUNS]

A mix runs cold once and then warm several times; the median of the warm runs counts. Then each kind of unique work is
timed alone, the best of several repetitions: decoding an image, computing its frozen part, a training step behind each
boundary, an evaluation. T* is the time of all unique work of the mix, divided by the cores. The window is the time from
the first epoch's start to the last epoch's end. rho is the window / T*, and the product of

    redundancy  computed work / unique work
    idleness    cores x window / the time that workers spent in epochs
    kernel      the rest: the time of work in a sweep / the time of the same work alone

Start-up is the time of the process outside the window.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch
from contenders import MELTPOINT, run_json

from search_spaces import Recipe, SweepSpec, load_spec
from service.clocks import now_ms
from service.ledgers import Ledger
from service.settings import Home
from trainables.activations.prefixes import load_frozen_prefix
from trainables.augmentations import group_by_view_kind
from trainables.datasets.images import decode_image
from trainables.datasets.sources import load_table
from trainables.devices import keep_freed_memory
from trainables.devices.devices import CPU
from trainables.stores.prepared import PreparedData, prepare_data
from trainables.training.evaluation import score
from trainables.training.trainer import Trainer

REPETITIONS = 15
CORES = 2


@dataclass(frozen=True, kw_only=True)
class Unique:
    """Seconds of one core for the unique work of a mix, by kind."""

    decode: float
    prefix: float
    steps: float
    evaluations: float

    def total(self, *, warm: bool) -> float:
        return self.steps + self.evaluations + (0.0 if warm else self.decode + self.prefix)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The cost of a run: seconds of the process, of the window, of workers in epochs; images computed."""

    wall: float
    window: float
    busy: float
    computed: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mix", nargs="?", default="head")
    parser.add_argument("--warm", type=int, default=5, metavar="RUNS", help="an odd number (default: 5)")
    options = parser.parse_args()
    if options.warm < 1 or options.warm % 2 == 0:
        parser.error(f"--warm must be an odd number of runs ({options.warm})")
    here = Path(__file__).parent / "mixes" / f"{options.mix}.yaml"
    mix = here if here.exists() else Path(options.mix)
    spec = load_spec(mix)
    torch.set_num_threads(1)
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="meltpoint-limit-") as scratch:
        home = Path(scratch) / "home"
        cold = _run(mix, home)
        warm = sorted((_run(mix, home) for _ in range(options.warm)), key=lambda taken: taken.window)
        data = prepare_data(spec.data, base_dir=spec.folder, root=home / "data")
        print("measuring unique work", file=sys.stderr, flush=True)
        rows, unique = _unique(spec, data)
    about = machines.describe()
    print(f"{spec.name}, {about['date']}, {about['machine']}, commit {about['commit']}\n")
    print(
        f"unique work, one core: decode {unique.decode:.1f} s, frozen part {unique.prefix:.1f} s ({rows} images), "
        f"steps {unique.steps:.1f} s, evaluations {unique.evaluations:.1f} s\n"
    )
    print("| run | process | start-up and end | training | T* | rho | redundancy | kernel | idleness |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    print(_row("cold", cold, unique, rows))
    print(_row("warm", warm[len(warm) // 2], unique, rows))
    print(f"\nwarm, each run: rho {', '.join(f'{_rho(taken, unique, warm=True):.2f}' for taken in warm)}")


def _row(name: str, taken: Taken, unique: Unique, rows: int) -> str:
    warm = name == "warm"
    need = unique.total(warm=warm)
    rho = _rho(taken, unique, warm=warm)
    extra = max(0, taken.computed - (0 if warm else rows)) * unique.prefix / rows
    redundancy = (need + extra) / need
    idleness = taken.window * CORES / taken.busy
    cells = [
        *(f"{seconds:.1f} s" for seconds in (taken.wall, taken.wall - taken.window, taken.window, need / CORES)),
        *(f"{factor:.2f}" for factor in (rho, redundancy, rho / redundancy / idleness, idleness)),
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _rho(taken: Taken, unique: Unique, *, warm: bool) -> float:
    return taken.window * CORES / unique.total(warm=warm)


def _run(mix: Path, home: Path) -> Taken:
    print(f"running {mix.name}", file=sys.stderr, flush=True)
    wall, outcome = run_json([*MELTPOINT, "run", str(mix), "-o", "json"], home)
    ledger = Ledger.open_file(Home(home).ledger, clock=now_ms)
    try:
        trials = ledger.trials.list(outcome["sweep_id"])
        epochs = [row for rows in ledger.trials.epochs_of(trial.id for trial in trials).values() for row in rows]
    finally:
        ledger.close()
    start = min(row.recorded_at / 1000 - row.seconds for row in epochs)
    end = max(row.recorded_at / 1000 for row in epochs)
    shared: list[dict[str, Any]] = [trial.sharing or {} for trial in trials]
    frozen = [sharing for sharing in shared if sharing.get("boundary")]
    return Taken(
        wall=wall,
        window=end - start,
        busy=sum(row.seconds for row in epochs),
        computed=sum(sharing.get("computed", 0) for sharing in frozen),
    )


def _unique(spec: SweepSpec, data: PreparedData) -> tuple[int, Unique]:
    """Count the images whose frozen part the mix needs, and time all its unique work."""
    rows, prefix = _prefix_work(spec, data)
    steps = evaluations = 0.0
    for recipe in spec.points:
        trainer = Trainer(data, recipe, seed=spec.seed, epochs=spec.budget.epochs)
        step, evaluation = _suffix(trainer, data, recipe)
        batches = math.ceil(len(data.splits["train"]) / recipe.batch_size)
        steps += spec.budget.epochs * batches * step
        evaluations += spec.budget.epochs * evaluation
    table = load_table(spec.data.source, base_dir=spec.folder, root=spec.data.root)
    images = table.images[:: max(1, len(table.images) // REPETITIONS)]
    decode = sum(_best(partial(decode_image, image, spec.data.image_size), 3) for image in images) / len(images)
    return rows, Unique(decode=decode * len(table.images), prefix=prefix, steps=steps, evaluations=evaluations)


def _prefix_work(spec: SweepSpec, data: PreparedData) -> tuple[int, float]:
    deepest: dict[tuple[str, int], int] = {}
    train, val = data.splits["train"], data.splits["val"]
    for recipe in spec.points:
        if recipe.freeze_depth == 0:
            continue
        wanted = [("none", 0, val)]
        for epoch in range(spec.budget.epochs):
            view = epoch % recipe.augment.views if recipe.augment.views else epoch
            wanted.append((recipe.augment.drawing, view, train))
        for policy, view, rows in wanted:
            for kind, places in group_by_view_kind(data.digests[rows], seed=spec.seed, policy=policy, view=view):
                for digest in data.digests[rows[places]].tolist():
                    key = (kind, digest)
                    deepest[key] = max(deepest.get(key, 0), recipe.freeze_depth)
    size = int(data.images.shape[1])
    first = spec.points[0]
    prefix = load_frozen_prefix(
        first.backbone, first.weights, image_size=size, precision="fp32", device=CPU, seed=0, pooled=True
    )
    images = torch.from_numpy(data.images[np.arange(16)]).permute(0, 3, 1, 2)
    cost = {depth: _best(partial(prefix.compute, images, depth)) / 16 for depth in set(deepest.values())}
    return len(deepest), sum(cost[depth] for depth in deepest.values())


def _suffix(trainer: Trainer, data: PreparedData, recipe: Recipe) -> tuple[float, float]:
    """Return the best seconds of a training step on features in memory, and of an evaluation on val."""
    batch, val = data.splits["train"][: recipe.batch_size], data.splits["val"]
    size = trainer.evaluation_batch
    features, seen = trainer.features.iterate_images([batch, val[:size]])
    labels = torch.from_numpy(data.labels[batch])
    trainer.model.train()

    def step() -> None:
        trainer.optimizer.zero_grad()
        trainer._add_gradients(features, labels, None, 1.0, 0, slice(0, len(features)))
        trainer.optimizer.step()

    heavy = recipe.freeze_depth < 7
    training = _best(step, 3 if heavy else REPETITIONS)
    trainer.model.eval()
    with torch.no_grad():
        forward = _best(lambda: trainer._predict(seen, slice(None)), 3 if heavy else REPETITIONS)
        chances = trainer._predict(seen, slice(None)).numpy()
    truth = data.labels[val]
    repeated = chances[[row % len(chances) for row in range(len(val))]]
    return training, forward * math.ceil(len(val) / size) + _best(lambda: score(repeated, truth))


def _best(work: Callable[[], object], repetitions: int = REPETITIONS) -> float:
    seconds = []
    work()
    for _ in range(repetitions):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    main()
