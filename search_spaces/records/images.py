"""Variation, mixing and sampling of training images and their labels."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from search_spaces.errors import one_of_rule
from search_spaces.extensions import is_own
from search_spaces.records.base import About, Fraction, Number, OpenChoice, Origin, Record

AUGMENT_POLICIES: Final[Mapping[str, About]] = MappingProxyType(
    {
        "none": About(description="unchanged images", paper="", prefix="invariant"),
        "flip": About(
            description="mirrored left to right with probability 0.5",
            paper="Krizhevsky, Sutskever & Hinton 2012, ImageNet Classification with Deep CNNs",
            prefix="per view",
        ),
        "flip_crop": About(
            description="flip, then a crop of 50 to 100 % of the area, resized back",
            paper="Szegedy et al. 2015, Going Deeper with Convolutions (section 6)",
            prefix="per view",
        ),
        "color": About(
            description="brightness and contrast, each changed by up to 40 %, in random order",
            paper="Howard 2013, Some Improvements on Deep CNN Based Image Classification",
            prefix="per view",
        ),
        "lecture7": About(
            description="flip_crop, then color",
            paper="CS231n, lecture 7: Training Neural Networks, part 2",
            prefix="per view",
        ),
    }
)
"""Every augmentation of the package; trainables.augmentations.views implements them."""


def _known_policy(name: str) -> str:
    if name not in AUGMENT_POLICIES and not is_own(name, "augmentation"):
        raise ValueError(one_of_rule(name, AUGMENT_POLICIES))
    return name


AugmentPolicy = Annotated[
    str, AfterValidator(_known_policy), OpenChoice(kind="augmentation", known=tuple(AUGMENT_POLICIES))
]


class Augment(Record):
    """Vary the training images at random."""

    about = About(
        description="random variations of the training images",
        paper="Shorten & Khoshgoftaar 2019, https://doi.org/10.1186/s40537-019-0197-0",
        prefix="per view",
    )
    policy: Annotated[
        AugmentPolicy,
        Field(description="kind of variation, or your own function; lecture7 is flip, crop and colour jitter"),
    ] = "none"
    views: Annotated[
        int,
        Field(
            ge=0,
            le=100_000,
            description="number of different views of an image, used in turn; 0 is a new view in each epoch",
        ),
    ] = 0
    cutout: Annotated[
        Number,
        Field(ge=0, le=1, description="side of a grey square, as a share of the image's side; 0 is no square"),
        Origin(paper="DeVries & Taylor 2017, https://arxiv.org/abs/1708.04552", prefix="per view"),
    ] = 0.0

    @property
    def drawing(self) -> str:
        """The random changes of a view: the policy, and the grey square if there is one."""
        return f"{self.policy}+cutout{self.cutout:g}" if self.cutout else self.policy


class Mix(Record):
    """Mix images of a batch and their labels, and smooth labels."""

    about = About(
        description="mixed images and labels, smoothed labels",
        paper="Zhang et al. 2018, https://arxiv.org/abs/1710.09412",
        prefix="per batch",
    )
    label_smoothing: Annotated[
        Fraction,
        Field(description="share of each label that is spread evenly over all classes"),
        Origin(paper="Szegedy et al. 2016, https://arxiv.org/abs/1512.00567", prefix="invariant"),
    ] = 0.0
    mixup: Annotated[
        Number,
        Field(
            ge=0,
            le=100,
            description="images and labels are mixed with another's by a share drawn from Beta(mixup, mixup); 0 is off",
        ),
    ] = 0.0
    cutmix: Annotated[
        Number,
        Field(
            ge=0,
            le=100,
            description="a rectangle is another image's, its share of the area drawn from Beta(cutmix, cutmix), and "
            "labels are mixed by it; 0 is off; beside mixup, each batch has one of the two",
        ),
        Origin(paper="Yun et al. 2019, https://arxiv.org/abs/1905.04899", prefix="per batch"),
    ] = 0.0

    @property
    def per_batch(self) -> bool:
        """True if images are mixed with other images of their batch."""
        return self.mixup > 0 or self.cutmix > 0


class Balance(Record):
    """Balance classes that differ in their number of images."""

    about = About(
        description="balance of classes that differ in their number of images",
        paper="Cui et al. 2019, https://arxiv.org/abs/1901.05555",
        prefix="invariant",
    )
    class_weights: Annotated[
        Literal["none", "inverse", "effective"],
        Field(
            description="weight of an image in the loss: equal, or inverse to its class's (effective) number of images"
        ),
    ] = "none"
    sampling: Annotated[
        Literal["none", "balanced"],
        Field(description="none: each image once in an epoch; balanced: each class equally often"),
    ] = "none"
