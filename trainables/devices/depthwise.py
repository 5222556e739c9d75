"""Quick weight gradients of depthwise convolutions on a CPU, for which oneDNN's are slow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["QuickDepthwise", "depthwise_mode"]

_KERNEL = 5
"""Smallest kernel whose weight gradient is quicker as a convolution of its own: 1.4 to 7 times, for 5x5 and 7x7 with
stride 1 on maps of 4x4 to 16x16 pixels, measured with AVX2. With 3x3, or a larger stride, oneDNN is as quick."""


def depthwise_mode(*trained: nn.Module) -> Callable[[], AbstractContextManager[Any]]:
    """Return the context in which to train modules: `QuickDepthwise` if one of them gains by it, else `nullcontext`.

    `QuickDepthwise` costs a little time at each call of torch.
    """
    return QuickDepthwise if any(_gains(inner) for module in trained for inner in module.modules()) else nullcontext


class QuickDepthwise(TorchFunctionMode):
    """Context that makes training of depthwise convolutions of at least 5x5 quicker on a CPU.

    Their output is bit for bit the same. The gradient of their weights differs by rounding, since sums are taken in
    another order.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is functional.conv2d:
            return _conv2d(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _conv2d(
    input: Tensor,  # noqa: A002  # torch's name, by which it may be given
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | str | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """Take the arguments of torch.nn.functional.conv2d."""
    all_ones = (1, (1,), (1, 1), [1, 1])
    is_quick = (
        weight.requires_grad
        and _fits(weight, groups)
        and input.dim() == 4
        and stride in all_ones
        and dilation in all_ones
        and not isinstance(padding, str)
        and input.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )
    if not is_quick:
        return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)
    assert not isinstance(padding, str)
    both = (padding, padding) if isinstance(padding, int) else (padding[0], padding[-1])
    convolved: Tensor = _Depthwise.apply(input, weight, bias, both)
    return convolved


def _gains(module: nn.Module) -> bool:
    """Return True for a trained convolution with a fitting stride, kernel and device."""
    if not isinstance(module, nn.Conv2d) or set(module.stride) != {1}:
        return False
    return module.weight.requires_grad and _fits(module.weight, module.groups)


def _fits(weight: Tensor, groups: int) -> bool:
    outputs, inputs_per_group, *kernel = weight.shape
    is_depthwise = groups == outputs > 1 and inputs_per_group == 1
    return is_depthwise and min(kernel) >= _KERNEL and weight.device.type == "cpu" and weight.dtype == torch.float32


class _Depthwise(torch.autograd.Function):
    """Convolution of each channel by itself, with stride 1."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.padding = padding
        return functional.conv2d(images, weight, bias, padding=padding, groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        images, weight = ctx.saved_tensors
        needs_images, needs_weight, needs_bias, _ = ctx.needs_input_grad
        gradients = torch.ops.aten.convolution_backward(
            gradient,
            images,
            weight,
            [len(weight)] if needs_bias else None,
            [1, 1],
            list(ctx.padding),
            [1, 1],
            False,
            [0, 0],
            len(weight),
            [needs_images, False, needs_bias],
        )
        weights = _weight_gradient(images, gradient, ctx.padding) if needs_weight else None
        return gradients[0], weights, gradients[2], None


def _weight_gradient(images: Tensor, gradient: Tensor, padding: tuple[int, int]) -> Tensor:
    """Return the gradient (C, 1, K, K) of the weights: images (N, C, H, W) convolved with `gradient` (N, C, H', W').

    Every channel of every image is one channel of the convolution, with its part of `gradient` as filter. The result is
    summed over the images.
    """
    count, channels = images.shape[:2]
    total = count * channels
    filters = gradient.contiguous().view(total, 1, *gradient.shape[2:])
    maps = images.contiguous().view(1, total, *images.shape[2:])
    convolved = functional.conv2d(maps, filters, padding=padding, groups=total)
    return convolved.view(count, channels, *convolved.shape[2:]).sum(0).unsqueeze(1)
