from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.recipes import Recipe
from trainables.devices import depthwise
from trainables.devices.depthwise import QuickDepthwise, depthwise_mode
from trainables.stores.prepared import PreparedData
from trainables.training.trainer import Trainer


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one entry with each gradient of the quick kind."""
    calls: list[int] = []
    whole = depthwise._weight_gradient

    def counted(*arguments: Tensor | tuple[int, int]) -> Tensor:
        calls.append(1)
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(depthwise, "_weight_gradient", counted)
    return calls


@given(
    images=st.integers(1, 3),
    channels=st.integers(2, 5),
    kernel=st.tuples(st.sampled_from([5, 7]), st.sampled_from([5, 7])),
    extra=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    bias=st.booleans(),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_a_quick_depthwise_convolution_equals_the_ordinary_one(
    images: int,
    channels: int,
    kernel: tuple[int, int],
    extra: tuple[int, int],
    padding: tuple[int, int],
    bias: bool,
    layout: torch.memory_format,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    side = (kernel[0] + extra[0], kernel[1] + extra[1])
    image = torch.randn(images, channels, *side, generator=generator).contiguous(memory_format=layout)
    weight = torch.randn(channels, 1, *kernel, generator=generator)
    shift = torch.randn(channels, generator=generator) if bias else None

    def convolved_and_gradients() -> list[Tensor]:
        leaves = [part.clone().requires_grad_() for part in (image, weight, shift) if part is not None]
        inputs, kernels, shifts = leaves[0], leaves[1], leaves[2] if bias else None
        convolved = functional.conv2d(inputs, kernels, shifts, padding=padding, groups=channels)
        convolved.square().sum().backward()
        return [convolved.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    ordinary = convolved_and_gradients()
    with QuickDepthwise():
        ours = convolved_and_gradients()
    assert torch.equal(ours[0], ordinary[0])
    for mine, theirs in zip(ours[1:], ordinary[1:], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize(
    ("module", "taken"),
    [
        (nn.Conv2d(8, 8, 5, padding=2, groups=8), True),
        (nn.Conv2d(8, 8, 7, groups=8, bias=False), True),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), False),
        (nn.Conv2d(8, 8, 5, stride=2, groups=8), False),
        (nn.Conv2d(8, 16, 5, groups=8), False),
        (nn.Conv2d(8, 8, 5), False),
        (nn.Conv2d(8, 8, 5, groups=8, dtype=torch.float64), False),
        (nn.Conv2d(8, 8, 5, groups=8).requires_grad_(False), False),
    ],
)
def test_only_fitting_convolutions_are_quick(module: nn.Conv2d, taken: bool, quick: list[int]) -> None:
    assert (depthwise_mode(module) is QuickDepthwise) is taken
    image = torch.randn(2, 8, 12, 12, dtype=module.weight.dtype, requires_grad=True)
    with QuickDepthwise():
        module(image).sum().backward()
    assert bool(quick) is taken


def test_bf16_convolutions_stay_ordinary(quick: list[int]) -> None:
    module = nn.Conv2d(8, 8, 5, groups=8)
    with torch.autocast("cpu", dtype=torch.bfloat16), QuickDepthwise():
        module(torch.randn(2, 8, 12, 12)).sum().backward()
    assert not quick
    assert module.weight.grad is not None


@pytest.mark.parametrize(("freeze_depth", "taken"), [("all", False), (0, True)])
def test_a_trainer_is_quick_if_it_trains_such_a_stage(
    freeze_depth: str | int, taken: bool, tiny: PreparedData, quick: list[int]
) -> None:
    recipe = Recipe.from_flat(
        {"backbone": "timm/lcnet_035", "weights": "random", "freeze_depth": freeze_depth, "batch_size": 8}
    )
    Trainer(tiny, recipe, seed=0).run_epoch()
    assert bool(quick) is taken
