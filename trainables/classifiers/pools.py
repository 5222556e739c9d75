"""What makes a vector of the last feature maps, where that is not left to the backbone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.records import Head

__all__ = ["FractionalMaxPool", "build_pool"]

_WINDOW = 2
_EVALUATED = 0.5
"""Where every sequence of windows begins in evaluation, as a share of its freedom; in training it is drawn."""


class FractionalMaxPool(nn.Module):
    """Maps (B, C, H, W) to (B, C, floor(H / ratio), floor(W / ratio)) by maxima of overlapping windows of 2 x 2.

    Their places are pseudo-random sequences (Graham 2014, section 2): in training drawn for each image and channel, in
    evaluation always the same.
    """

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, maps: Tensor) -> Tensor:
        size = [int(side / self.ratio) for side in maps.shape[-2:]]
        count, channels = maps.shape[:2]
        places = (
            torch.rand(count, channels, 2, dtype=maps.dtype, device=maps.device)
            if self.training
            else torch.full((count, channels, 2), _EVALUATED, dtype=maps.dtype, device=maps.device)
        )
        pooled: Tensor = functional.fractional_max_pool2d(maps, _WINDOW, output_size=size, _random_samples=places)
        return pooled


def build_pool(head: Head) -> nn.Module | None:
    """Maps (B, C, H, W) to (B, C, 1, 1), or None where the backbone pools in its own way."""
    if head.pool == "avg":
        return nn.AdaptiveAvgPool2d(1)
    if head.pool == "max":
        return nn.AdaptiveMaxPool2d(1)
    if head.pool == "fractional_max":
        return nn.Sequential(FractionalMaxPool(head.pool_ratio), nn.AdaptiveAvgPool2d(1))
    return None
