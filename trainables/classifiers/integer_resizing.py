"""The resize of uint8 images as sums of integers, in operations that every runtime has."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces.backbones import Interpolation

__all__ = ["resize_in_integers"]

_LARGEST_WEIGHT = 2**15
_MOST_BITS = 22
_SUPPORTS = {"bilinear": 1.0, "bicubic": 2.0}
"""Half the width of a filter, in pixels of the smaller image."""


def resize_in_integers(images: Tensor, size: int, interpolation: Interpolation) -> Tensor:
    """Return images (N, H, W, 3) with values 0..255 as float64 (N, size, size, 3), the same values as torch's resize.

    torch resizes uint8 with antialiasing as Pillow does: rows first, by weights rounded to 16-bit integers, the sums
    rounded to whole pixels; then columns likewise (`_compute_index_ranges_int16_weights` in its
    `UpSampleKernel.cpp`). Such sums are exact in float64, in any order. So an exported graph gives what training saw,
    where a resize of another runtime would round elsewhere.
    """
    pixels = images.to(torch.float64)
    rows = _resize_axis(pixels.transpose(1, 2), size, interpolation)  # (N, size, H, 3)
    return _resize_axis(rows.transpose(1, 2), size, interpolation)


def _resize_axis(pixels: Tensor, size: int, interpolation: Interpolation) -> Tensor:
    """Resize the first axis behind the batch: (N, L, M, 3) to (N, size, M, 3)."""
    batch, length, others = pixels.shape[0], pixels.shape[1], pixels.shape[2]
    weights, unit = _integer_weights(length, size, interpolation)
    sums = torch.matmul(weights, pixels.reshape(batch, length, others * 3))
    return torch.floor(sums / unit + 0.5).clamp(0, 255).reshape(batch, size, others, 3)


def _integer_weights(length: int, size: int, interpolation: Interpolation) -> tuple[Tensor, Tensor]:
    """Return the weights (size, length) as whole numbers, and the power of two that stands for 1."""
    inputs = torch.arange(length, dtype=torch.float64)
    outputs = torch.arange(size, dtype=torch.float64)
    scale = torch.ones((), dtype=torch.float64) * length / size
    widening = scale.clamp(min=1.0)
    support = _SUPPORTS[interpolation] * widening
    centers = (scale * (outputs + 0.5)).unsqueeze(1)
    first = torch.floor((centers - support + 0.5).clamp(min=0.0))
    behind = torch.floor(centers + support + 0.5)
    distances = (inputs - centers + 0.5) * (1.0 / widening)
    weights = torch.where((inputs >= first) & (inputs < behind), _filter(distances, interpolation), 0.0)
    weights = weights / weights.sum(dim=1, keepdim=True)
    powers = 2.0 ** torch.arange(1, _MOST_BITS + 1, dtype=torch.float64)
    bits = (torch.floor(0.5 + weights.max() * powers) < _LARGEST_WEIGHT).to(torch.float64).sum()
    unit = 2.0**bits
    scaled = weights * unit
    return torch.sign(scaled) * torch.floor(scaled.abs() + 0.5), unit


def _filter(distances: Tensor, interpolation: Interpolation) -> Tensor:
    """Return the filter's heights at distances from its middle; bicubic as Keys (1981) with a = -0.5."""
    x = distances.abs()
    if interpolation == "bilinear":
        return (1.0 - x).clamp(min=0.0)
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
