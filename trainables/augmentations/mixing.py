"""Mixing of the images of a batch, and of their labels: mixup and CutMix."""

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
    """The mixing of one batch of B images.

    Attributes:
        partners: int64 (B,), for each image the position of the image that is mixed into it.
        share: weight of an image's own label, 0 to 1.
        box: top, left, bottom and right of the partner's rectangle as shares of height and width (CutMix); None if
            whole images are mixed (mixup).
    """

    partners: NDArray[np.int64]
    share: float
    box: Box | None

    def mix_images(self, pixels: Tensor) -> Tensor:
        """Mix pixels (B, 3, H, W) in 0..255; mixup returns float32, CutMix keeps the type."""
        others = pixels[torch.from_numpy(self.partners).to(pixels.device)]
        if self.box is None:
            return self.share * pixels.float() + (1 - self.share) * others.float()
        top, bottom, left, right = self._edges(*pixels.shape[-2:])
        mixed = pixels.clone()
        mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
        return mixed

    def mix_loss(self, mean_loss: Callable[[Tensor], Tensor], labels: Tensor, rows: slice) -> Tensor:
        """Return the mean loss against both labels, weighted by their shares.

        Args:
            mean_loss: takes the labels of `rows`, and returns a mean loss.
            labels: int64 (B,), of the whole batch.
            rows: the part of the batch.
        """
        others = labels[torch.from_numpy(self.partners).to(labels.device)]
        return self.share * mean_loss(labels[rows]) + (1 - self.share) * mean_loss(others[rows])

    def _edges(self, height: int, width: int) -> tuple[int, int, int, int]:
        assert self.box is not None
        top, left, bottom, right = self.box
        return round(top * height), round(bottom * height), round(left * width), round(right * width)


def draw_blend(mix: Mix, images: int, image_size: int, generator: np.random.Generator) -> Blend | None:
    """Draw the mixing of one batch; None if the recipe has neither mixup nor CutMix.

    mixup (Zhang et al. 2018, section 2): each batch has one share from Beta(a, a) and one permutation. CutMix (Yun et
    al. 2019, section 3.1): the rectangle has the area 1 - share, and its middle is anywhere; the share becomes the part
    of the image that is left. With both, each batch has one of the two with equal probability.

    Args:
        mix: strengths of mixup and CutMix.
        images: number of images in the batch.
        image_size: height and width of an image in pixels.
        generator: source of all random numbers.
    """
    if not mix.per_batch:
        return None
    is_cutmix = mix.cutmix > 0 and (mix.mixup == 0 or generator.random() < 0.5)
    strength = mix.cutmix if is_cutmix else mix.mixup
    share = float(generator.beta(strength, strength))
    partners = generator.permutation(images)
    if not is_cutmix:
        return Blend(partners=partners, share=share, box=None)
    half = np.sqrt(1 - share) / 2
    middle = generator.random(2)
    low, high = np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)
    edges = np.round(np.array([low, high]) * image_size) / image_size
    (top, left), (bottom, right) = edges
    left_over = 1 - float((bottom - top) * (right - left))
    return Blend(partners=partners, share=left_over, box=(float(top), float(left), float(bottom), float(right)))
