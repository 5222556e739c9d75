from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from search_spaces.recipes import Recipe
from trainables.devices.devices import resolve_device
from trainables.devices.tensors import NestedTensors
from trainables.errors import CheckpointError, DataError, DeviceError, DivergedError
from trainables.stores.prepared import PreparedData
from trainables.training import Evaluation
from trainables.training.checkpoints import load_checkpoint, save_checkpoint
from trainables.training.trainer import EpochResult, Trainer

BASE = {
    "backbone": "timm/test_efficientnet",
    "weights": "random",
    "freeze_depth": -2,
    "batch_size": 8,
    "optimizer.name": "adamw",
}


def recipe(**changed: object) -> Recipe:
    return Recipe.from_flat({**BASE, **{name.replace("__", "."): value for name, value in changed.items()}})


def flat(tensors: NestedTensors | Tensor, prefix: str = "") -> dict[str, bytes]:
    """Return every tensor's bytes by the tensor's path."""
    assert not isinstance(tensors, Tensor)
    actual: dict[str, bytes] = {}
    for name, value in tensors.items():
        if isinstance(value, Tensor):
            actual[prefix + name] = value.contiguous().numpy().tobytes()
        else:
            actual.update(flat(value, f"{prefix}{name}/"))
    return actual


def readings(results: list[EpochResult]) -> list[tuple[int, dict[str, float], bytes]]:
    return [(result.epoch, result.train, result.val.probabilities.tobytes()) for result in results]


@pytest.mark.parametrize("optimizer", ["nesterov", "adamw"])
def test_six_epochs_are_three_a_checkpoint_and_three(optimizer: str, tiny: PreparedData, tmp_path: Path) -> None:
    chosen = recipe(optimizer__name=optimizer, dropout__rate=0.3, augment__policy="lecture7", mix__label_smoothing=0.1)
    straight = Trainer(tiny, chosen, seed=4)
    expected = [straight.run_epoch() for _ in range(6)]

    first = Trainer(tiny, chosen, seed=4)
    actual = [first.run_epoch() for _ in range(3)]
    path = save_checkpoint(tmp_path, epoch=first.epoch, tensors=first.state_dict(), meta={})
    torch.manual_seed(99)
    second = Trainer(tiny, chosen, seed=4)
    second.load_state_dict(load_checkpoint(path).tensors)
    actual += [second.run_epoch() for _ in range(3)]

    assert readings(actual) == readings(expected)
    assert flat(second.state_dict()) == flat(straight.state_dict())
    assert [result.epoch for result in actual] == [1, 2, 3, 4, 5, 6]


def test_training_leaves_torchs_global_generator_alone(tiny: PreparedData) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Trainer(tiny, recipe(dropout__rate=0.5), seed=0).run_epoch()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("weights", ["inverse", "effective"])
def test_balanced_training_goes_on_from_its_checkpoint(weights: str, uneven: PreparedData, tmp_path: Path) -> None:
    chosen = recipe(balance__class_weights=weights, balance__sampling="balanced", augment__policy="flip")
    straight = Trainer(uneven, chosen, seed=4)
    expected = [straight.run_epoch() for _ in range(3)]
    first = Trainer(uneven, chosen, seed=4)
    actual = [first.run_epoch()]
    path = save_checkpoint(tmp_path, epoch=1, tensors=first.state_dict(), meta={})
    second = Trainer(uneven, chosen, seed=4)
    second.load_state_dict(load_checkpoint(path).tensors)
    actual += [second.run_epoch(), second.run_epoch()]

    assert readings(actual) == readings(expected)
    assert flat(second.state_dict()) == flat(straight.state_dict())


def test_an_epoch_without_val_trains_as_one_with_val(tiny: PreparedData) -> None:
    chosen = recipe(dropout__rate=0.3)
    nothing = np.empty(0, dtype=np.int64)
    alone = Trainer(dataclasses.replace(tiny, splits=tiny.splits | {"val": nothing}), chosen, seed=4)
    beside = Trainer(tiny, chosen, seed=4)
    for _ in range(2):
        assert alone.train_epoch() == beside.run_epoch().train
    assert alone.epoch == beside.epoch == 2
    assert flat(alone.state_dict()) == flat(beside.state_dict())


def test_seeds_differ(tiny: PreparedData) -> None:
    first, second = (Trainer(tiny, recipe(), seed=seed).run_epoch() for seed in (0, 1))
    assert first.train != second.train


@pytest.mark.parametrize("depth", ["all", -2, 0])
def test_frozen_parts_keep_every_byte_and_stay_out_of_the_state(depth: str | int, tiny: PreparedData) -> None:
    trainer = Trainer(tiny, recipe(freeze_depth=depth), seed=0)
    boundary = trainer.recipe.freeze_depth
    before = flat(trainer.model.state_dict())
    trainer.run_epoch()
    after = flat(trainer.model.state_dict())

    frozen = {name for name in before if name.startswith("stages.") and int(name.split(".")[1]) < boundary}
    assert {name for name in before if before[name] == after[name]} >= frozen
    thawed_statistics = {name for name in before.keys() - frozen if "running_" in name}
    assert all(before[name] != after[name] for name in thawed_statistics)
    assert flat(trainer.state_dict()["model"]).keys() == before.keys() - frozen


def test_training_learns_real_digits(digits: PreparedData) -> None:
    chosen = Recipe.from_flat({"freeze_depth": -2, "optimizer.name": "adamw", "optimizer.lr": 3e-3})
    trainer = Trainer(digits, chosen, seed=0)
    chance = trainer.evaluate("val").metrics["accuracy"]
    results = [trainer.run_epoch() for _ in range(2)]
    assert chance < 0.3
    assert results[-1].train["loss"] < results[0].train["loss"]
    assert results[-1].val.metrics["accuracy"] > 0.8


def test_a_left_over_image_trains_with_the_batch_before_it(tiny: PreparedData) -> None:
    images = len(tiny.splits["train"])
    result = Trainer(tiny, recipe(freeze_depth=0, batch_size=images - 1), seed=0).run_epoch()
    whole = Trainer(tiny, recipe(freeze_depth=0, batch_size=images), seed=0).run_epoch()
    assert result.train == whole.train


def test_evaluation_covers_a_split_in_its_order_and_changes_nothing(tiny: PreparedData) -> None:
    trainer = Trainer(tiny, recipe(dropout__rate=0.5), seed=0)
    before = flat(trainer.model.state_dict())
    first, second = trainer.evaluate("test"), trainer.evaluate("test")
    assert isinstance(first, Evaluation)
    assert np.array_equal(first.labels, tiny.labels[tiny.splits["test"]])
    assert np.array_equal(first.probabilities, second.probabilities)
    assert flat(trainer.model.state_dict()) == before


def test_an_empty_split_is_refused(tiny: PreparedData) -> None:
    nothing = np.array([], dtype=np.int64)
    data = dataclasses.replace(tiny, splits={**tiny.splits, "confirm": nothing})
    with pytest.raises(DataError, match=r"split confirm of .* must hold images"):
        Trainer(data, recipe(), seed=0).evaluate("confirm")


@pytest.mark.experiment(22)
@pytest.mark.parametrize(("name", "depth"), [("sgd", 0), ("nesterov", 0), ("adamw", 0), ("adamw", "all")])
def test_a_learning_rate_out_of_all_bounds_is_named_with_epoch_and_recipe(
    name: str, depth: int | str, tiny: PreparedData
) -> None:
    sane = recipe(freeze_depth=depth, optimizer__name=name, batch_size=4)
    mad = sane.model_copy(update={"optimizer": sane.optimizer.model_copy(update={"lr": 1e30})})
    trainer = Trainer(tiny, mad, seed=0)
    with pytest.raises(DivergedError) as refused:
        trainer.run_epoch()
    message = str(refused.value)
    assert "diverged in epoch 1: " in message
    assert mad.identity in message
    assert "optimizer.lr=1e+30" in message
    assert f"freeze_depth={depth}," in message, "as users write it"


def test_a_state_is_a_copy(tiny: PreparedData) -> None:
    trainer = Trainer(tiny, recipe(), seed=0)
    trainer.run_epoch()
    state = trainer.state_dict()
    before = flat(state)
    trainer.run_epoch()
    assert flat(state) == before


def test_the_state_of_another_training_is_refused(tiny: PreparedData) -> None:
    state = Trainer(tiny, recipe(), seed=0).state_dict()
    for other in (
        Trainer(tiny, recipe(dropout__rate=0.1), seed=0),
        Trainer(tiny, recipe(), seed=1),
        Trainer(dataclasses.replace(tiny, digest="0" * 16), recipe(), seed=0),
    ):
        with pytest.raises(CheckpointError, match=r"must be of recipe .* seed .* data"):
            other.load_state_dict(state)
    with pytest.raises(CheckpointError, match="must hold a training's state"):
        Trainer(tiny, recipe(), seed=0).load_state_dict({})


def test_a_state_that_lacks_a_tensor_names_it(tiny: PreparedData) -> None:
    state = dict(Trainer(tiny, recipe(), seed=0).state_dict())
    model = state["model"]
    assert not isinstance(model, Tensor)
    lacking = {name: value for name, value in model.items() if name != "head.linear.bias"}
    with pytest.raises(CheckpointError, match=r"differs in head\.linear\.bias"):
        Trainer(tiny, recipe(), seed=0).load_state_dict({**state, "model": lacking})


def test_devices_that_are_not_there_are_refused() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(DeviceError, match=rf"this machine has {torch.cuda.device_count()} usable GPUs"):
        resolve_device("cuda:99")
    for nonsense in ("tpu", "cuda:-1", "cuda:", ""):
        with pytest.raises(DeviceError, match="must be cpu, cuda or cuda:<index>"):
            resolve_device(nonsense)
