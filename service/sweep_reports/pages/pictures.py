"""Pictures of images, as data URIs that a page holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["AugmentedImage", "Pictures"]


@dataclass(frozen=True, kw_only=True)
class AugmentedImage:
    """A training image with views of it. label: its class. original, views: data URIs."""

    label: str
    original: str
    views: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The images of a page.

    policy: augmentation policy of the recipe to use, with its cutout. augmented: training images with views by it.
    mistakes: data URIs by position in the val split. missing: why there are none; None if there are.
    """

    policy: str = ""
    augmented: tuple[AugmentedImage, ...] = ()
    mistakes: Mapping[int, str] = field(default_factory=dict)
    missing: str | None = None
