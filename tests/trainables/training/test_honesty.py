"""The data that a training may look at, and the effect of a recipe's remaining names."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from search_spaces import Recipe
from trainables.stores.prepared import PreparedData
from trainables.training.trainer import Trainer

BASE = {"weights": "random", "freeze_depth": -2, "batch_size": 8, "augment.policy": "lecture7"}


def test_training_never_reads_the_images_kept_for_confirmation_and_test(tiny: PreparedData) -> None:
    kept = np.concatenate([tiny.splits["confirm"], tiny.splits["test"]])
    assert len(kept) > 0
    images, labels = np.array(tiny.images), tiny.labels.copy()
    images[kept], labels[kept] = 255 - images[kept], (labels[kept] + 1) % len(tiny.classes)
    spoilt = dataclasses.replace(tiny, images=images, labels=labels)
    results = [Trainer(data, Recipe.from_flat(BASE), seed=0).run_epoch() for data in (tiny, spoilt)]
    assert results[0].train == results[1].train
    assert results[0].val.metrics == results[1].val.metrics
    assert results[0].val.probabilities.tobytes() == results[1].val.probabilities.tobytes()


@pytest.mark.parametrize(
    ("name", "values", "optimizer"),
    [
        ("optimizer.momentum", (0.9, 0.5), "momentum"),
        ("optimizer.alpha", (0.99, 0.5), "rmsprop"),
        ("weights", ("random", "pretrained"), "adamw"),
    ],
)
def test_names_that_only_some_recipes_use_change_the_training_too(
    name: str, values: tuple[object, object], optimizer: str, tiny: PreparedData
) -> None:
    def loss(value: object) -> float:
        recipe = Recipe.from_flat({**BASE, "optimizer.name": optimizer, name: value})
        return Trainer(tiny, recipe, seed=0).run_epoch().train["loss"]

    assert loss(values[0]) != loss(values[1])
