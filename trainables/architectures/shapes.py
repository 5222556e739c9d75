"""Models and forward passes with shapes alone, on the meta device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["ShapesOnly", "Unfilled"]

_SHAPE_KEEPING: Final = (
    functional.batch_norm,
    functional.layer_norm,
    functional.group_norm,
    functional.normalize,
    functional.gelu,
    functional.relu,
    functional.silu,
    torch.batch_norm,
)


_FILLING: Final = (Tensor.uniform_, Tensor.normal_, Tensor.erfinv_, Tensor.clamp_)


class Unfilled(TorchFunctionMode):
    """Context in which new parameters are not filled: on the meta device, that takes longer than making them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in _FILLING else func(*args, **(kwargs or {}))


class ShapesOnly(TorchFunctionMode):
    """Context that computes the shapes of the slowest operations itself: nine tenths of a pass on the meta device.

    Attributes:
        multiply_adds: multiply-adds of these operations; `MultiplyAddCounter` counts all others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.multiply_adds = 0
        self._answers: dict[Any, Callable[..., Any]] = {
            functional.linear: self._linear,
            functional.scaled_dot_product_attention: self._attention,
            torch.lstm: self._lstm,
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _SHAPE_KEEPING and args:
            return torch.empty_like(args[0])
        answer = self._answers.get(func)
        answered = None if answer is None else answer(*args, **kwargs)
        return func(*args, **kwargs) if answered is None else answered

    def _linear(self, input: Tensor, weight: Tensor, *_: object, **__: object) -> Tensor | None:  # noqa: A002 - torch's
        """Return None, as `_attention` does, for shapes that do not fit: torch then raises its own error."""
        if weight.ndim != 2 or input.shape[-1] != weight.shape[1]:
            return None
        self.multiply_adds += input.numel() * len(weight)
        return input.new_empty(*input.shape[:-1], len(weight))

    def _lstm(
        self, sequences: Tensor, state: Any, weights: list[Tensor], _biases: bool, _layers: int, *rest: object
    ) -> tuple[Tensor, ...] | None:
        """Take a batch of sequences of one length, batch first or second; return None for anything else."""
        if sequences.ndim != 3 or isinstance(state, Tensor):
            return None
        directions = 2 if rest[2] else 1
        self.multiply_adds += sequences[..., 0].numel() * sum(weight.numel() for weight in weights if weight.ndim == 2)
        return sequences.new_empty(*sequences.shape[:2], directions * state[0].shape[-1]), *state

    def _attention(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **_: object
    ) -> Tensor | None:
        scores = torch.Size((*query.shape[:-1], key.shape[-2]))
        fits = query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
        fits &= query.shape[-1] == key.shape[-1] and key.shape[-2] == value.shape[-2]
        if not fits or (attn_mask is not None and not _broadcasts(attn_mask.shape, scores)):
            return None
        self.multiply_adds += scores.numel() * (query.shape[-1] + value.shape[-1])
        return query.new_empty(*query.shape[:-1], value.shape[-1])


def _broadcasts(small: torch.Size, large: torch.Size) -> bool:
    """Return True if a tensor of shape `small` broadcasts to `large`."""
    if len(small) > len(large):
        return False
    return all(size in (1, other) for size, other in zip(reversed(small), reversed(large), strict=False))
