"""Teams: the processes that train one trial together, each on a GPU of its own, and add up what they compute.

Data-parallel training as in Li et al. 2020, "PyTorch Distributed", section 2: every member has the whole model, takes
its part of each batch, and makes the same optimizer step with the sum of all gradients. The gradients are summed once
a step, after the last micro-batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from typing_extensions import override

__all__ = ["ALONE", "Part", "Team"]

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """A member's rows of a batch, and the weight of what it adds: below 1 if all members compute the same rows."""

    rows: slice
    weight: float


@dataclass(frozen=True, kw_only=True)
class Team:
    """The member `rank` of `size`; without others it does everything alone.

    With others, torch's default process group must have these members. All of them must call the same methods in the
    same order, since each waits for the rest.
    """

    rank: int = 0
    size: int = 1

    def part(self, rows: int) -> Part:
        """Return this member's part of a batch of `rows`.

        A batch of fewer than two rows a member is computed by each of them, since a BatchNorm needs more than one row.
        """
        if rows < 2 * self.size:
            return Part(slice(0, rows), 1 / self.size)
        return Part(slice(rows * self.rank // self.size, rows * (self.rank + 1) // self.size), 1.0)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by the sum of all members' gradients."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for kind in dict.fromkeys(gradient.dtype for gradient in gradients):
            same = [gradient for gradient in gradients if gradient.dtype == kind]
            whole = torch.cat([gradient.reshape(-1) for gradient in same])
            distributed.all_reduce(whole)
            for gradient, summed in zip(same, whole.split([gradient.numel() for gradient in same]), strict=True):
                gradient.copy_(summed.view_as(gradient))

    def sum_numbers(self, numbers: Sequence[float], device: torch.device) -> list[float]:
        """Return the sums of all members' numbers, place by place."""
        if self.size == 1:
            return list(numbers)
        summed = torch.tensor(numbers, dtype=torch.float64, device=device)
        distributed.all_reduce(summed)
        return [float(number) for number in summed.cpu()]

    def gather(self, part: T) -> list[T]:
        """Return every member's part, in the order of their ranks."""
        if self.size == 1:
            return [part]
        parts: list[Any] = [None] * self.size
        distributed.all_gather_object(parts, part)
        return parts

    def synced_norms(self) -> AbstractContextManager[object]:
        """Let every BatchNorm that trains inside the block normalize by the statistics of the whole batch."""
        return nullcontext() if self.size == 1 else _SyncedNorms()


ALONE = Team()
"""A team of one."""


class _SyncedNorms(TorchFunctionMode):
    """Computes `batch_norm` in training from the mean and the variance over all members' rows.

    torch's SyncBatchNorm does the same on GPUs only, and must replace each module; timm has modules of its own that
    call the same function.
    """

    @override
    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is not functional.batch_norm:
            return func(*args, **(kwargs or {}))
        given = _BATCH_NORM.bind(*args, **(kwargs or {}))
        given.apply_defaults()
        return _batch_norm(**given.arguments) if given.arguments["training"] else func(*args, **(kwargs or {}))


_BATCH_NORM = inspect.signature(functional.batch_norm)


def _batch_norm(
    input: Tensor,  # noqa: A002  # torch's name for it
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalize as `torch.nn.functional.batch_norm` does, over the rows of all members."""
    assert training
    values = input if input.dtype == torch.float64 else input.float()
    places = [0, *range(2, input.dim())]
    shape = [1, -1, *[1] * (input.dim() - 2)]
    rows = values.new_tensor([values.numel() / values.shape[1]])
    distributed.all_reduce(rows)
    count = float(rows)
    mean = _sum_of_all(values.sum(places)) / count
    centred = values - mean.view(shape)
    variance = _sum_of_all(centred.square().sum(places)) / count
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            running_var.lerp_((variance * (count / (count - 1))).to(running_var.dtype), momentum)
    normal = centred * torch.rsqrt(variance + eps).view(shape)
    scaled = normal if weight is None else normal * weight.view(shape)
    shifted: Tensor = scaled if bias is None else scaled + bias.view(shape)
    return shifted.to(input.dtype)


def _sum_of_all(tensor: Tensor) -> Tensor:
    summed: Tensor = _Sum.apply(tensor)
    return summed


class _Sum(torch.autograd.Function):
    """The sum of all members' tensors; its gradient is the sum of all members' gradients."""

    @staticmethod
    @override
    def forward(ctx: FunctionCtx, tensor: Tensor) -> Tensor:
        summed = tensor.clone()
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    @override
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        summed = gradient.contiguous().clone()
        distributed.all_reduce(summed)
        return summed
