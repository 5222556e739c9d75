"""The estimated memory of a step, compared with the memory that it takes."""

from __future__ import annotations

import pytest
import torch

from search_spaces import MeltpointError
from trainables.classifiers import build_classifier
from trainables.measurements import estimate_step_bytes

RESNET18 = "torchvision/resnet18"


def need(depth: int, batch: int = 8, size: int = 64) -> int:
    return estimate_step_bytes(RESNET18, image_size=size, depth=depth, batch_size=batch)


def test_less_frozen_larger_batches_and_larger_images_need_more() -> None:
    needs = [need(depth) for depth in range(6)]
    assert needs == sorted(needs, reverse=True)
    assert need(0, batch=64) > need(0, batch=8)
    assert need(0, size=128) > need(0, size=64)


def test_it_covers_what_autograd_really_keeps() -> None:
    model = build_classifier(RESNET18, classes=2, weights="random", image_size=64, seed=0)
    model.train()
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(torch.zeros(32, 3, 64, 64)).sum()
    real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    adam = sum(4 * weight.numel() * weight.element_size() for weight in model.parameters())
    assert real + adam <= need(0, batch=32) <= 2 * (real + adam)


def test_a_size_that_the_backbone_does_not_take_is_refused() -> None:
    with pytest.raises(MeltpointError, match="image_size must be one that"):
        estimate_step_bytes("torchvision/vgg11", image_size=8, depth=0, batch_size=2)
