"""Images of a batch mixed with each other, and their labels with them: mixup and CutMix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_spaces.records import Mix

__all__ = ["Blend", "draw_blend"]

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Blend:
    """How a batch of B images is mixed: with which of them (B,), and by how much.

    share: of each image's own part in the label, 0 to 1; box: top, left, bottom and right of the other image's
    rectangle as shares of height and width, None where whole images are mixed.
    """

    partners: NDArray[np.int64]
    share: float
    box: Box | None

    def images(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in 0..255, mixed; float32 where whole images are."""
        others = pixels[torch.from_numpy(self.partners).to(pixels.device)]
        if self.box is None:
            return self.share * pixels.float() + (1 - self.share) * others.float()
        top, bottom, left, right = self._edges(*pixels.shape[-2:])
        mixed = pixels.clone()
        mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
        return mixed

    def loss(self, mean_loss: Callable[[Tensor], Tensor], labels: Tensor, rows: slice) -> Tensor:
        """The mean loss against both labels (B,), each by its share; of these rows. `mean_loss` takes labels."""
        others = labels[torch.from_numpy(self.partners).to(labels.device)]
        return self.share * mean_loss(labels[rows]) + (1 - self.share) * mean_loss(others[rows])

    def _edges(self, height: int, width: int) -> tuple[int, int, int, int]:
        assert self.box is not None
        top, left, bottom, right = self.box
        return round(top * height), round(bottom * height), round(left * width), round(right * width)


def draw_blend(mix: Mix, images: int, side: int, generator: np.random.Generator) -> Blend | None:
    """How a batch of so many images of `side` px is mixed, None where it is not.

    mixup (Zhang et al. 2018, section 2): one share of Beta(a, a) a batch, and a permutation of it. CutMix (Yun et al.
    2019, section 3.1): the rectangle's area is 1 - share, its middle anywhere; the share is then what is left of the
    image. With both, each batch has one of the two with equal probability.
    """
    if not mix.per_batch:
        return None
    cut = mix.cutmix > 0 and (mix.mixup == 0 or generator.random() < 0.5)
    strength = mix.cutmix if cut else mix.mixup
    share = float(generator.beta(strength, strength))
    partners = generator.permutation(images)
    if not cut:
        return Blend(partners=partners, share=share, box=None)
    half = np.sqrt(1 - share) / 2
    middle = generator.random(2)
    low, high = np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)
    edges = np.round(np.array([low, high]) * side) / side
    (top, left), (bottom, right) = edges
    left_over = 1 - float((bottom - top) * (right - left))
    return Blend(partners=partners, share=left_over, box=(float(top), float(left), float(bottom), float(right)))
