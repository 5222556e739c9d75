from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search_spaces.recipes import Recipe
from trainables.errors import DeviceError, DeviceMemoryError
from trainables.stores.prepared import PreparedData
from trainables.training.micro_batches import MicroBatches
from trainables.training.trainer import Trainer


def recipe(**values: object) -> Recipe:
    return Recipe.from_flat({"batch_size": 8, "optimizer.lr": 1e-3, **values})


class LittleMemory:
    """A fake of a GPU with memory for `images` images: a larger forward pass raises torch's error."""

    def __init__(self, trainer: Trainer, images: int, *, after: int = 0) -> None:
        self.images, self.after, self.seen = images, after, []  # type: ignore[var-annotated]
        trainer.model.head.linear.register_forward_pre_hook(self)

    def __call__(self, _module: nn.Module, args: tuple[Tensor]) -> None:
        self.seen.append(len(args[0]))
        if len(args[0]) > self.images and len(self.seen) > self.after:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("backbone", ["timm/vit_tiny_patch16_224", "timm/tf_efficientnet_lite0"])
@pytest.mark.parametrize("micro_batch", [1, 3, 5])
def test_shares_add_up_to_the_whole_batch(backbone: str, micro_batch: int, tiny: PreparedData) -> None:
    """Compare without thawed BatchNorm: the ViT has none, and lite0 is frozen."""
    depth = -2 if "vit" in backbone else "all"
    chosen = recipe(backbone=backbone, weights="random", freeze_depth=depth, **{"mix.label_smoothing": 0.1})
    whole, split = Trainer(tiny, chosen, seed=0), Trainer(tiny, chosen, seed=0, micro_batch=micro_batch)
    batch = tiny.splits["train"][:7]
    views, labels = next(whole.features.iterate_views([batch], 0)), torch.tensor(tiny.labels[batch])
    for trainer in (whole, split):
        trainer.model.train()
        trainer.micro_batches.run(7, partial(trainer._add_gradients, views, labels, None, 1.0, 0))
    for ours, theirs in zip(split.model.parameters(), whole.model.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None and theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    assert split.run_epoch().train["loss"] == pytest.approx(whole.run_epoch().train["loss"], rel=1e-4)


def test_a_full_batch_keeps_what_its_first_parts_added_where_memory_runs_out(
    tiny: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search_spaces.recipes.recipe.FULL_BATCH_PART", 20)
    chosen = recipe(batch_size=0)
    plenty, little = Trainer(tiny, chosen, seed=0), Trainer(tiny, chosen, seed=0)
    LittleMemory(little, 12, after=1)
    expected, actual = plenty.run_epoch(), little.run_epoch()
    assert little.micro_batches.size == 10
    assert actual.train["loss"] == pytest.approx(expected.train["loss"], rel=1e-5)
    np.testing.assert_allclose(actual.val.probabilities, expected.val.probabilities, rtol=1e-4)


def test_out_of_memory_halves_the_share_and_repeats_the_step_with_the_same_result(tiny: PreparedData) -> None:
    plenty, little = Trainer(tiny, recipe(), seed=0), Trainer(tiny, recipe(), seed=0)
    LittleMemory(little, 3)
    expected, actual = plenty.run_epoch(), little.run_epoch()
    assert little.micro_batches.size == 2
    assert actual.train["loss"] == pytest.approx(expected.train["loss"], rel=1e-5)
    np.testing.assert_allclose(actual.val.probabilities, expected.val.probabilities, rtol=1e-4)


def test_a_repeated_step_leaves_no_trace_of_the_failed_one(tiny: PreparedData) -> None:
    """Run out of memory in the second share of the first batch, with thawed statistics."""
    chosen = recipe(freeze_depth=-1, **{"dropout.rate": 0.5})
    failing, spared = (Trainer(tiny, chosen, seed=0, micro_batch=size) for size in (4, 2))
    memory = LittleMemory(failing, 3, after=1)
    for trainer in (failing, spared):
        trainer.data = dataclasses.replace(tiny, splits={**tiny.splits, "train": tiny.splits["train"][:16]})
        trainer.run_epoch()
    assert memory.seen[:4] == [4, 4, 2, 2]
    ours, theirs = failing.model.state_dict(), spared.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_one_image_that_does_not_fit_is_refused_in_one_sentence(tiny: PreparedData) -> None:
    trainer = Trainer(tiny, recipe(), seed=0)
    LittleMemory(trainer, 0)
    with pytest.raises(DeviceMemoryError, match=r"cpu has too little memory for one image .*Tried to allocate 2\.00"):
        trainer.run_epoch()


def test_a_member_of_a_team_says_that_its_part_of_a_batch_does_not_fit(tiny: PreparedData) -> None:
    """Run out of memory where a smaller micro-batch would need the consent of all members."""
    trainer = Trainer(tiny, recipe(), seed=0)
    trainer.micro_batches = MicroBatches(trainer.model, [], trainer.device, halves=False)
    LittleMemory(trainer, 3)
    with pytest.raises(DeviceMemoryError, match=r"for \d+ images, its part of a batch: take more GPUs a trial"):
        trainer.run_epoch()


def test_bf16_trains_on_a_cpu_and_keeps_its_weights_in_fp32(tiny: PreparedData) -> None:
    full, mixed = (Trainer(tiny, recipe(freeze_depth=-1, precision=kind), seed=0) for kind in ("fp32", "bf16"))
    whole, other = full.run_epoch().train["loss"], mixed.run_epoch().train["loss"]
    assert whole != other
    assert other == pytest.approx(whole, rel=0.05)
    assert {parameter.dtype for parameter in mixed.model.parameters()} == {torch.float32}


def test_fp16_on_a_cpu_is_refused(tiny: PreparedData) -> None:
    with pytest.raises(DeviceError, match="precision fp16 needs a GPU: use fp32 on a CPU"):
        Trainer(tiny, recipe(precision="fp16"), seed=0)
