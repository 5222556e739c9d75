"""Gradients of depthwise convolutions on a CPU, where oneDNN's own of their weights are slow."""

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
"""From this size on the weights' gradient is quicker as a convolution of its own: 1.4 to 7 times, for 5x5 and 7x7 with
stride 1 on maps of 4 to 16 pixels a side, measured with AVX2. With 3x3, or a stride, oneDNN is as quick or quicker."""


def depthwise_mode(*trained: nn.Module) -> Callable[[], AbstractContextManager[Any]]:
    """What to train them in: `QuickDepthwise` where it helps; else nothing, since it costs each call a little."""
    return QuickDepthwise if any(_helps(inner) for module in trained for inner in module.modules()) else nullcontext


class QuickDepthwise(TorchFunctionMode):
    """Within it (`with`), depthwise convolutions of at least 5x5 on a CPU are the same, and trained quicker.

    Their output is the same to the bit, the gradient of their weights to rounding: sums are taken in another order.
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
    """With the arguments of torch.nn.functional.conv2d."""
    ones = (1, (1,), (1, 1), [1, 1])
    quick = (
        weight.requires_grad
        and _fits(weight, groups)
        and input.dim() == 4
        and stride in ones
        and dilation in ones
        and not isinstance(padding, str)
        and input.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )
    if not quick:
        return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)
    assert not isinstance(padding, str)
    both = (padding, padding) if isinstance(padding, int) else (padding[0], padding[-1])
    convolved: Tensor = _Depthwise.apply(input, weight, bias, both)
    return convolved


def _helps(module: nn.Module) -> bool:
    """Whether it is a convolution to be trained whose stride, kernel and device are right."""
    if not isinstance(module, nn.Conv2d) or set(module.stride) != {1}:
        return False
    return module.weight.requires_grad and _fits(module.weight, module.groups)


def _fits(weight: Tensor, groups: int) -> bool:
    outputs, of_each, *kernel = weight.shape
    depthwise = groups == outputs > 1 and of_each == 1
    return depthwise and min(kernel) >= _KERNEL and weight.device.type == "cpu" and weight.dtype == torch.float32


class _Depthwise(torch.autograd.Function):
    """Convolves each channel by itself, with stride 1."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.padding = padding
        return functional.conv2d(images, weight, bias, padding=padding, groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        images, weight = ctx.saved_tensors
        of_input, of_weight, of_bias, _ = ctx.needs_input_grad
        found = torch.ops.aten.convolution_backward(
            gradient,
            images,
            weight,
            [len(weight)] if of_bias else None,
            [1, 1],
            list(ctx.padding),
            [1, 1],
            False,
            [0, 0],
            len(weight),
            [of_input, False, of_bias],
        )
        weights = _of_weights(images, gradient, ctx.padding) if of_weight else None
        return found[0], weights, found[2], None


def _of_weights(images: Tensor, gradient: Tensor, padding: tuple[int, int]) -> Tensor:
    """The gradient (C, 1, K, K) of the weights: images (N, C, H, W) convolved with the gradient (N, C, H', W').

    Each image and channel is a channel of its own, and its part of the gradient the filter; then images are summed.
    """
    count, channels = images.shape[:2]
    every = count * channels
    filters = gradient.contiguous().view(every, 1, *gradient.shape[2:])
    maps = images.contiguous().view(1, every, *images.shape[2:])
    convolved = functional.conv2d(maps, filters, padding=padding, groups=every)
    return convolved.view(count, channels, *convolved.shape[2:]).sum(0).unsqueeze(1)
