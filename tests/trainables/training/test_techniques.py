"""Every technique of the vocabulary, with a cache, with an interruption, and in an export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces import PARAMETERS, Recipe
from tests.trainables.training.test_trainer import flat, readings
from trainables.activations import SharingSettings
from trainables.classifiers import export_module
from trainables.stores.prepared import PreparedData
from trainables.training.checkpoints import load_checkpoint, save_checkpoint
from trainables.training.trained_models import build_trained_model
from trainables.training.trainer import Trainer

BASE = {"backbone": "timm/test_efficientnet", "weights": "random", "freeze_depth": -2, "batch_size": 8}
EPOCHS = 3
TECHNIQUES: dict[str, dict[str, object]] = {
    "warm-up and cosine": {"schedule.name": "cosine", "schedule.warmup_epochs": 1},
    "step": {"schedule.name": "step", "optimizer.name": "rmsprop", "optimizer.weight_decay": 0.1},
    "elastic net": {"penalty.name": "elastic", "penalty.l1": 1e-3, "optimizer.name": "adagrad"},
    "clipping": {"clip.norm": 0.1, "optimizer.name": "lion"},
    "vanilla dropout": {"dropout.rate": 0.4, "dropout.scaling": "vanilla"},
    "DropConnect": {"dropout.rate": 0.4, "dropout.kind": "dropconnect"},
    "stochastic depth": {"dropout.drop_path": 0.5, "backbone": "timm/test_resnet", "freeze_depth": 1},
    "hidden layer with norm": {"head.hidden": 16, "head.norm": "batch", "dropout.rate": 0.2},
    "max pool": {"head.pool": "max"},
    "fractional max pool": {"head.pool": "fractional_max", "freeze_depth": "all"},
    "cutout": {"augment.cutout": 0.5, "augment.policy": "flip_crop"},
    "mixup": {"mix.mixup": 0.4, "mix.label_smoothing": 0.1},
    "CutMix": {"mix.cutmix": 1.0},
    "CutMix of pixels": {"mix.cutmix": 1.0, "freeze_depth": 0},
    "Polyak averaging": {"averaging.name": "polyak", "averaging.decay": 0.9},
    "snapshot ensemble": {"averaging.name": "snapshot", "schedule.name": "cosine_restarts", "schedule.cycles": 2},
    "L-BFGS": {"optimizer.name": "lbfgs", "optimizer.max_evals": 4, "batch_size": 0, "dropout.rate": 0.3},
    "full batch": {"batch_size": 0, "optimizer.name": "sgd", "optimizer.lr": 0.1},
}

MODELS = (
    *(
        "vanilla dropout",
        "DropConnect",
        "stochastic depth",
        "hidden layer with norm",
        "max pool",
        "fractional max pool",
    ),
    *("Polyak averaging", "snapshot ensemble"),
)
"""Techniques that leave another model than training without them."""


def recipe(technique: str) -> Recipe:
    return Recipe.from_flat({**BASE, **TECHNIQUES[technique]})


@pytest.fixture(scope="module")
def large(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """The images of `tiny_folder` at 96 px, from which the backbone makes maps of 3 x 3."""
    from search_spaces import DataSpec
    from trainables.stores.prepared import prepare_data

    root = tmp_path_factory.mktemp("large")
    return prepare_data(DataSpec(source=str(tiny_folder), image_size=96), base_dir=root, root=root)


@pytest.fixture
def data(technique: str, tiny: PreparedData, large: PreparedData) -> PreparedData:
    return large if recipe(technique).head.pool == "fractional_max" else tiny


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_training_that_was_interrupted_ends_as_one_that_was_not(
    technique: str, data: PreparedData, tmp_path: Path
) -> None:
    straight = Trainer(data, recipe(technique), seed=4, epochs=EPOCHS)
    expected = [straight.run_epoch() for _ in range(EPOCHS)]
    first = Trainer(data, recipe(technique), seed=4, epochs=EPOCHS)
    actual = [first.run_epoch()]
    path = save_checkpoint(tmp_path, epoch=first.epoch, tensors=first.state_dict(), meta={})
    second = Trainer(data, recipe(technique), seed=4, epochs=EPOCHS)
    second.load_state_dict(load_checkpoint(path).tensors)
    actual += [second.run_epoch() for _ in range(2)]
    assert readings(actual) == readings(expected)
    assert flat(second.state_dict()) == flat(straight.state_dict())


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_results_do_not_depend_on_the_cache(technique: str, data: PreparedData, tmp_path: Path) -> None:
    chosen = recipe(technique)
    shared = {chosen.freeze_depth: 50.0} if chosen.freeze_depth else {}
    settings = SharingSettings(folder=str(tmp_path), limit=10**9, memory=10**9, trials=shared, readers=shared)

    def trained(sharing: SharingSettings | None) -> tuple[object, Trainer]:
        trainer = Trainer(data, chosen, seed=1, epochs=2, sharing=sharing)
        return readings([trainer.run_epoch() for _ in range(2)]), trainer

    expected, _ = trained(None)
    cold, _ = trained(settings)
    warm, last = trained(settings)
    assert cold == warm == expected
    if chosen.freeze_depth and not chosen.mix.per_batch:
        assert last.features.counts["computed"] == 0
        assert last.features.counts["read"] > 0
    if chosen.freeze_depth and chosen.mix.per_batch:
        assert last.features.counts["computed"] == 2 * len(data.splits["train"]), "mixed images are computed each time"
        assert last.features.summary()["reason"] == "images are mixed before the frozen stages"


@pytest.mark.parametrize("technique", MODELS)
def test_what_is_served_is_what_was_evaluated(technique: str, data: PreparedData) -> None:
    trainer = Trainer(data, recipe(technique), seed=2, epochs=EPOCHS)
    result = [trainer.run_epoch() for _ in range(EPOCHS)][-1]
    model = build_trained_model(data, recipe(technique), seed=2, state=trainer.state_dict())
    served = export_module(model, int(data.images.shape[1]), "bilinear")
    images = torch.from_numpy(np.ascontiguousarray(data.images[data.splits["val"]]))
    program = torch.export.export(
        served, (images[:2],), dynamic_shapes=(dict.fromkeys(range(3), torch.export.Dim.AUTO),)
    )
    with torch.no_grad():
        assert torch.allclose(program.module()(images), served(images), atol=1e-6)
        np.testing.assert_allclose(served(images).numpy(), result.val.probabilities, atol=1e-5)


CHANGES: dict[str, object] = {
    "backbone": "torchvision/resnet18",
    "freeze_depth": -3,
    "optimizer.name": "sgd",
    "optimizer.lr": 0.02,
    "optimizer.momentum": 0.5,
    "optimizer.alpha": 0.5,
    "optimizer.betas": [0.5, 0.9],
    "optimizer.eps": 0.1,
    "optimizer.weight_decay": 1.0,
    "optimizer.history": 1,
    "optimizer.max_evals": 3,
    "schedule.name": "cosine",
    "schedule.warmup_epochs": 1,
    "schedule.every": 1,
    "schedule.gamma": 0.1,
    "schedule.decay": 5.0,
    "schedule.final": 0.5,
    "schedule.cycles": 1,
    "penalty.name": "l2",
    "penalty.l1": 0.1,
    "penalty.l2": 0.1,
    "clip.norm": 0.01,
    "dropout.rate": 0.5,
    "dropout.kind": "dropconnect",
    "dropout.scaling": "vanilla",
    "dropout.drop_path": 0.5,
    "head.hidden": 8,
    "head.norm": "batch",
    "head.pool": "max",
    "head.pool_ratio": 1.9,
    "augment.policy": "flip_crop",
    "augment.views": 1,
    "augment.cutout": 0.5,
    "mix.label_smoothing": 0.2,
    "mix.mixup": 1.0,
    "mix.cutmix": 1.0,
    "averaging.name": "polyak",
    "averaging.decay": 0.2,
    "balance.class_weights": "inverse",
    "balance.sampling": "balanced",
    "batch_size": 5,
    "precision": "bf16",
}
BESIDE: dict[str, dict[str, object]] = {
    "optimizer.momentum": {"optimizer.name": "momentum"},
    "optimizer.alpha": {"optimizer.name": "rmsprop"},
    "optimizer.history": {"optimizer.name": "lbfgs", "batch_size": 0},
    "optimizer.max_evals": {"optimizer.name": "lbfgs", "batch_size": 0},
    "schedule.every": {"schedule.name": "step"},
    "schedule.gamma": {"schedule.name": "exponential"},
    "schedule.decay": {"schedule.name": "1/t"},
    "schedule.final": {"schedule.name": "linear"},
    "schedule.cycles": {"schedule.name": "cosine_restarts"},
    "penalty.l1": {"penalty.name": "l1"},
    "penalty.l2": {"penalty.name": "elastic"},
    "dropout.kind": {"dropout.rate": 0.5},
    "dropout.scaling": {"dropout.rate": 0.5},
    "dropout.drop_path": {"backbone": "timm/test_resnet", "freeze_depth": 1},
    "head.pool_ratio": {"head.pool": "fractional_max"},
    "augment.views": {"augment.policy": "flip_crop"},
    "averaging.decay": {"averaging.name": "polyak"},
}


def test_every_name_of_the_vocabulary_is_tried() -> None:
    elsewhere = {"weights"}  # tests/trainables/test_weights.py
    assert CHANGES.keys() | elsewhere == PARAMETERS.keys()


Training = Callable[[PreparedData, dict[str, object]], tuple[object, ...]]


@pytest.fixture(scope="module")
def trained() -> Training:
    """Return a function that trains for two epochs; it trains equal values on equal images once."""
    results: dict[tuple[Path, str], tuple[object, ...]] = {}

    def train(data: PreparedData, values: dict[str, object]) -> tuple[object, ...]:
        trainer = Trainer(data, Recipe.from_flat(values), seed=0, epochs=2)
        epochs = [trainer.run_epoch() for _ in range(2)]
        return readings(epochs), flat(trainer.state_dict()["model"])

    def find_or_train(data: PreparedData, values: dict[str, object]) -> tuple[object, ...]:
        key = data.folder, repr(sorted(values.items()))
        if key not in results:
            results[key] = train(data, values)
        return results[key]

    return find_or_train


@pytest.mark.parametrize("name", CHANGES)
def test_another_value_is_another_training(
    name: str, trained: Training, uneven: PreparedData, large: PreparedData
) -> None:
    data = large if name.startswith("head.pool") else uneven
    base = {**BASE, **BESIDE.get(name, {})}
    if not str(base.get("optimizer.name", "")).startswith("lbfgs"):
        base.setdefault("optimizer.lr", 0.01)
    assert trained(data, {**base, name: CHANGES[name]}) != trained(data, base)
