"""The layers that stand on the features and are trained anew, and what is dropped in them."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.records import Dropout, Head

__all__ = ["DropConnect", "VanillaDropout", "build_head"]


class VanillaDropout(nn.Module):
    """Dropout whose evaluation multiplies by the share that is kept (Srivastava et al. 2014, section 4).

    In training inputs (B, ...) become 0 with probability `rate` and are else as they were.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return inputs * (1 - self.rate)
        return inputs * torch.empty_like(inputs).bernoulli_(1 - self.rate)


class DropConnect(nn.Linear):
    """A linear layer of which each example uses other weights in training (Wan et al. 2013, section 3).

    Inputs (B, in) to (B, out); biases are never dropped. scaling: `inverted` divides what is kept by its share in
    training, `vanilla` multiplies all weights by it in evaluation. Evaluation uses the mean of the weights, where the
    paper draws activations from the Gaussian of that mean and its variance: it then needs no random numbers.
    """

    def __init__(self, inputs: int, outputs: int, *, rate: float, scaling: str) -> None:
        super().__init__(inputs, outputs)
        self.rate = rate
        self.scaling = scaling

    def forward(self, inputs: Tensor) -> Tensor:
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
    """Features (B, F) to logits (B, classes).

    Without a hidden layer: BatchNorm if asked for, dropout, a linear layer. With one: dropout, linear, BatchNorm if
    asked for, ReLU, dropout, linear.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    norm = head.norm == "batch"
    if head.hidden:
        layers["hidden_dropout"] = _dropped(dropout)
        layers["hidden"] = _linear(features, head.hidden, dropout)
        if norm:
            layers["norm"] = nn.BatchNorm1d(head.hidden)
        layers["relu"] = nn.ReLU()
    elif norm:
        layers["norm"] = nn.BatchNorm1d(features)
    layers["dropout"] = _dropped(dropout)
    layers["linear"] = _linear(head.hidden or features, classes, dropout)
    return nn.Sequential(layers)


def _dropped(dropout: Dropout) -> nn.Module:
    rate = dropout.rate if dropout.kind == "dropout" else 0.0
    return VanillaDropout(rate) if rate and dropout.scaling == "vanilla" else nn.Dropout(rate)


def _linear(inputs: int, outputs: int, dropout: Dropout) -> nn.Linear:
    if dropout.kind == "dropconnect" and dropout.rate:
        return DropConnect(inputs, outputs, rate=dropout.rate, scaling=dropout.scaling)
    return nn.Linear(inputs, outputs)
