"""Heads: the new layers on top of the features, and their dropout."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.records import Dropout, Head

__all__ = ["DropConnect", "VanillaDropout", "build_head"]


class VanillaDropout(nn.Module):
    """Dropout that multiplies by the kept share in evaluation (Srivastava et al. 2014, section 4).

    In training, an input becomes 0 with probability `rate`, and stays unchanged otherwise.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, inputs: Tensor) -> Tensor:
        """Take inputs (B, ...), and return outputs of the same shape."""
        if not self.training:
            return inputs * (1 - self.rate)
        return inputs * torch.empty_like(inputs).bernoulli_(1 - self.rate)


class DropConnect(nn.Linear):
    """Linear layer that drops other weights for each example in training (Wan et al. 2013, section 3).

    Biases are never dropped. Evaluation uses the mean of the weights; the paper instead draws activations from the
    Gaussian with that mean and variance, which needs random numbers.

    Args:
        inputs: number of input features.
        outputs: number of output features.
        rate: share of the weights that are dropped.
        scaling: `inverted` divides the kept weights by their share in training; `vanilla` multiplies all weights by
            that share in evaluation.
    """

    def __init__(self, inputs: int, outputs: int, *, rate: float, scaling: str) -> None:
        super().__init__(inputs, outputs)
        self.rate = rate
        self.scaling = scaling

    def forward(self, inputs: Tensor) -> Tensor:
        """Take inputs (B, in), and return outputs (B, out)."""
        kept = 1 - self.rate
        if not self.training:
            return functional.linear(
                inputs, self.weight * kept if self.scaling == "vanilla" else self.weight, self.bias
            )
        masks = inputs.new_empty(len(inputs), *self.weight.shape).bernoulli_(kept)
        if self.scaling == "inverted":
            masks /= kept
        return torch.einsum("boi,bi->bo", masks * self.weight, inputs) + self.bias


def build_head(features: int, classes: int, *, head: Head, dropout: Dropout) -> nn.Sequential:
    """Build the head from features (B, F) to logits (B, classes).

    Without a hidden layer: BatchNorm (if `head.norm` is `batch`), dropout, linear. With a hidden layer: dropout,
    linear, BatchNorm (likewise), ReLU, dropout, linear.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    has_norm = head.norm == "batch"
    if head.hidden:
        layers["hidden_dropout"] = _dropout_layer(dropout)
        layers["hidden"] = _linear(features, head.hidden, dropout)
        if has_norm:
            layers["norm"] = nn.BatchNorm1d(head.hidden)
        layers["relu"] = nn.ReLU()
    elif has_norm:
        layers["norm"] = nn.BatchNorm1d(features)
    layers["dropout"] = _dropout_layer(dropout)
    layers["linear"] = _linear(head.hidden or features, classes, dropout)
    return nn.Sequential(layers)


def _dropout_layer(dropout: Dropout) -> nn.Module:
    rate = dropout.rate if dropout.kind == "dropout" else 0.0
    return VanillaDropout(rate) if rate and dropout.scaling == "vanilla" else nn.Dropout(rate)


def _linear(inputs: int, outputs: int, dropout: Dropout) -> nn.Linear:
    if dropout.kind == "dropconnect" and dropout.rate:
        return DropConnect(inputs, outputs, rate=dropout.rate, scaling=dropout.scaling)
    return nn.Linear(inputs, outputs)
