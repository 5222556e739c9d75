"""Own code for a sweep: a data set, a backbone, an augmentation and a metric. Nothing of Meltpoint is imported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

IMAGES_PER_CLASS = 40
COST = np.array([[0.0, 1.0], [5.0, 0.0]])  # rows: truth (across, down); to miss a `down` costs five times as much


def load(_folder: Path) -> Iterator[tuple[np.ndarray, str]]:
    """Stripes that run down or across, as pairs of an image and its label. The folder is not needed here."""
    generator = np.random.default_rng(0)
    for number in range(IMAGES_PER_CLASS):
        wave = np.sin(np.arange(32) * generator.uniform(0.3, 1.5) + number)
        image = np.tile(np.uint8(127 + 120 * wave), (32, 1))
        yield image, "down"
        yield image.T, "across"


def small() -> dict[str, nn.Module]:
    """Three stages from images (B, 3, H, W) to maps (B, 32, H/8, W/8), whose mean the classifier sees."""
    return {"stem": _halved(3, 8), "middle": _halved(8, 16), "last": _halved(16, 32)}


def _halved(given: int, channels: int) -> nn.Module:
    convolution = nn.Conv2d(given, channels, kernel_size=3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU())


def darken(image: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    """uint8 (3, H, W), by up to half darker. All chance comes from `generator`, so a view can be drawn again."""
    return (image * (1 - generator.uniform(0, 0.5))).to(torch.uint8)


def cost(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean cost of the predictions: probabilities (N, classes), labels (N,) as positions of the sorted classes."""
    return float(COST[labels, probabilities.argmax(axis=1)].mean())
