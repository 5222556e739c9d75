"""Pools that replace the backbone's own between the last feature maps and the head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.records import Head

__all__ = ["FractionalMaxPool", "build_pool"]

_WINDOW = 2
_EVALUATED = 0.5
"""Offset of every sequence of windows in evaluation, as a share of the largest offset; training draws it."""


class FractionalMaxPool(nn.Module):
    """Maxima of overlapping windows of 2 x 2 at pseudo-random places (Graham 2014, section 2).

    The places are drawn for each image and channel in training, and always the same in evaluation.
    """

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, maps: Tensor) -> Tensor:
        """Take maps (B, C, H, W), and return maps (B, C, floor(H / ratio), floor(W / ratio))."""
        size = [int(length / self.ratio) for length in maps.shape[-2:]]
        count, channels = maps.shape[:2]
        places = (
            torch.rand(count, channels, 2, dtype=maps.dtype, device=maps.device)
            if self.training
            else torch.full((count, channels, 2), _EVALUATED, dtype=maps.dtype, device=maps.device)
        )
        pooled: Tensor = functional.fractional_max_pool2d(maps, _WINDOW, output_size=size, _random_samples=places)
        return pooled


def build_pool(head: Head) -> nn.Module | None:
    """Return the pool from maps (B, C, H, W) to (B, C, 1, 1); None if the backbone keeps its own pool."""
    if head.pool == "avg":
        return nn.AdaptiveAvgPool2d(1)
    if head.pool == "max":
        return nn.AdaptiveMaxPool2d(1)
    if head.pool == "fractional_max":
        return nn.Sequential(FractionalMaxPool(head.pool_ratio), nn.AdaptiveAvgPool2d(1))
    return None
