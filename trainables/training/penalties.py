"""Penalties on the sizes of weights, added to the loss. Biases and norms are exempt.

Only tensors with two or more dimensions are penalized: a bias or a norm's scale has one (Goodfellow, Bengio & Courville
2016, section 7.1, for biases).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["WeightPenalty", "build_penalty"]


@dataclass(frozen=True, eq=False)
class WeightPenalty:
    """l1 sum |w| + l2 sum w^2 over `weights`."""

    weights: tuple[nn.Parameter, ...]
    l1: float
    l2: float

    def value(self) -> Tensor:
        """Return the penalty, a scalar on the weights' device."""
        with torch.no_grad():
            parts = [self.l1 * weight.abs().sum() + self.l2 * weight.square().sum() for weight in self.weights]
            return torch.stack(parts).sum()

    def add_gradients(self) -> None:
        """Add l1 sign(w) + 2 l2 w to the weights' gradients; the subgradient at w = 0 is 0."""
        with torch.no_grad():
            for weight in self.weights:
                assert weight.grad is not None
                if self.l1:
                    weight.grad.add_(weight.sign(), alpha=self.l1)
                if self.l2:
                    weight.grad.add_(weight, alpha=2 * self.l2)


def build_penalty(record: Any, parameters: Iterable[nn.Parameter]) -> WeightPenalty | None:
    """Build a record's penalty on those of `parameters` that are penalized; None for the record `none`."""
    if record.name == "none":
        return None
    weights = tuple(parameter for parameter in parameters if parameter.ndim >= 2)
    fields = record.model_dump()
    return WeightPenalty(weights, l1=fields.get("l1", 0.0), l2=fields.get("l2", 0.0))
