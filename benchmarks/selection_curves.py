"""Learning curves with per-image correctness, collected by Meltpoint's own trainer and stored a file for each seed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from selection_sets import CurveSet

from search_spaces import Recipe, Space, grid_points

Bits = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """The curves of one set: `correct` (recipes, seeds, epochs, images) is 1 for a right answer on an image.

    `valid` (recipes, seeds) is False for a training that diverged; its answers are all wrong.
    """

    name: str
    space: Space
    recipes: Sequence[Recipe]
    correct: Bits
    valid: NDArray[np.bool_]
    seconds: float

    @classmethod
    def read(cls, chosen: CurveSet, folder: Path) -> Curves:
        """Read all seeds that are stored."""
        space = chosen.read_space(folder)
        files = sorted((folder / "curves" / chosen.name).glob("seed-*.npz"))
        loaded = [np.load(file) for file in files]
        images = int(loaded[0]["images"])
        bits = [np.unpackbits(seed["bits"], axis=-1, count=images) for seed in loaded]
        return cls(
            name=chosen.name,
            space=space,
            recipes=distinct_recipes(space),
            correct=np.stack(bits, axis=1),
            valid=np.stack([seed["valid"] for seed in loaded], axis=1),
            seconds=float(sum(seed["seconds"] for seed in loaded)),
        )


def distinct_recipes(space: Space) -> list[Recipe]:
    """Return the recipes of a space without continuous ranges, each once, in the space's order."""
    by_identity = {recipe.identity: recipe for recipe in map(space.recipe, grid_points(space))}
    return list(by_identity.values())


class Collector:
    """Trains every recipe of a set; `train_seed` keeps the right answers of one seed."""

    def __init__(self, chosen: CurveSet, folder: Path) -> None:
        import torch

        from service.plans.sharing import HELD_BYTES
        from trainables.activations import SharingSettings
        from trainables.stores.prepared import prepare_data

        torch.set_num_threads(1)
        spec = chosen.load(folder)
        self._set, self._folder = chosen, folder / "curves" / chosen.name
        self._folder.mkdir(parents=True, exist_ok=True)
        self._recipes = distinct_recipes(spec.space)
        data = prepare_data(spec.data, base_dir=folder, root=folder / "images")
        pool = np.sort(np.concatenate([data.splits["val"], data.splits["test"]]))
        self._data = replace(data, splits={**data.splits, "val": pool, "test": pool[:0]})
        uses = {recipe.freeze_depth: float(len(self._recipes) * chosen.seeds) for recipe in self._recipes}
        self._sharing = SharingSettings(
            folder=str(folder / "activations"), limit=8 * 10**9, memory=HELD_BYTES, trials=uses, readers=uses
        )
        (self._folder / "recipes.json").write_text(json.dumps([recipe.flat() for recipe in self._recipes], indent=1))

    def train_seed(self, seed: int) -> None:
        """Train every recipe with a seed, unless its file is there."""
        file = self._folder / f"seed-{seed:02d}.npz"
        if file.exists():
            return
        started = time.perf_counter()
        pool = self._data.splits["val"]
        correct = np.zeros((len(self._recipes), self._set.epochs, len(pool)), dtype=np.uint8)
        valid = np.array([self._train(recipe, seed, correct[row]) for row, recipe in enumerate(self._recipes)])
        taken = time.perf_counter() - started
        temporary = file.with_suffix(".tmp")
        with temporary.open("wb") as stream:
            np.savez_compressed(
                stream,
                bits=np.packbits(correct, axis=-1),
                valid=valid,
                images=len(pool),
                train=len(self._data.splits["train"]),
                seconds=taken,
            )
        temporary.rename(file)
        best = correct.mean(axis=-1).max(axis=1)
        print(f"{self._set.name} seed {seed}: {taken:.0f} s, {best.min():.3f} to {best.max():.3f}", file=sys.stderr)

    def _train(self, recipe: Recipe, seed: int, correct: Bits) -> bool:
        """Train a recipe and note its right answers, (epochs, images). Return False if the training diverged."""
        from trainables.errors import DivergedError
        from trainables.training.trainer import Trainer

        trainer = Trainer(self._data, recipe, seed=seed, epochs=len(correct), sharing=self._sharing)
        try:
            for row in correct:
                evaluation = trainer.run_epoch().val
                row[:] = evaluation.probabilities.argmax(axis=1) == evaluation.labels
        except DivergedError:
            correct[:] = 0
            return False
        return True
