"""Views: one augmentation draw of one image, keyed by (seed, policy, image, view number).

A view depends on nothing else: not on the batch an image stands in, not on the trial, not on torch's global
random state. Trials that share a seed and a policy therefore see the same pixels and are paired.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from search_spaces.extensions import is_own
from trainables.augmentations.own_policies import OWN_DRAWS, own_policy
from trainables.devices.threads import one_thread

__all__ = [
    "OUTCOMES",
    "POLICIES",
    "PolicyInfo",
    "count_distinct_views",
    "draw_views",
    "find_policy",
    "group_by_view_kind",
]

Draws = npt.NDArray[np.float64]

FLIP_PROBABILITY = 0.5
CROP_AREA = (0.5, 1.0)
CROP_LOG_RATIO = math.log(4 / 3)
JITTER = 0.4

_CUTOUT = "+cutout"
_CUTOUT_DRAWS = 2
_GREY = torch.tensor([124, 116, 104], dtype=torch.uint8).view(3, 1, 1)

OUTCOMES = ("plain", "mirrored")
"""Kinds of views that several policies can give."""

_VERSION = "1"
"""To be changed where a policy below is: what was computed from its old views is then not found any more."""


@dataclass(frozen=True, kw_only=True)
class PolicyInfo:
    """One augmentation policy.

    apply: (image uint8 (3, H, W), draws float64 (draws,) uniform in [0, 1)) -> uint8 (3, H, W); pure.
        None leaves images as they are.
    draws: how many uniform numbers one view of one image consumes.
    outcomes: where few different views are possible, from draws (B, draws) to positions (B,) in OUTCOMES.
    """

    name: str
    apply: Callable[[Tensor, Draws], Tensor] | None
    draws: int
    outcomes: Callable[[Draws], npt.NDArray[np.int64]] | None = None


def draw_views(images: Tensor, digests: npt.NDArray[np.uint64], *, seed: int, policy: str, view: int) -> Tensor:
    """One view of each image.

    images: uint8 (B, 3, H, W), any memory layout; digests: uint64 (B,), the images' content digests.
    Returns uint8 (B, 3, H, W): contiguous and new, or `images` itself where the policy changes nothing.
    Raises ValueError for an unknown policy and for images and digests that do not match, OwnCodeError where
    the policy is the user's own function and fails.
    """
    info = find_policy(policy)
    if info is None:
        raise ValueError(f"augment.policy: must be one of {', '.join(POLICIES)} ({policy!r})")
    if images.ndim != 4 or images.dtype != torch.uint8 or len(digests) != len(images):
        raise ValueError(
            f"images must be uint8 (B, 3, H, W) with one digest each: "
            f"got {images.dtype} {tuple(images.shape)} and {len(digests)} digests"
        )
    if info.apply is None or len(images) == 0:
        return images
    draws = _drawn(digests, info, seed=seed, view=view)
    # A contrast is a sum over pixels: one fixed layout keeps its rounding, hence the view, the same.
    source = images.contiguous()
    result = torch.empty_like(source)
    with one_thread():
        for row, image in enumerate(source):
            result[row] = info.apply(image, draws[row])
    return result


def group_by_view_kind(
    digests: npt.NDArray[np.uint64], *, seed: int, policy: str, view: int, scope: str = ""
) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """Which images have which kind of view: name of the kind, positions in `digests`.

    An image's view of one kind has the same pixels whatever policy, seed and view number it was drawn by: a flip that
    leaves an image as it is gives the kind of the image itself. scope: tells apart what the user's own function of
    one name may have done at different times.
    """
    info = find_policy(policy)
    assert info is not None, policy
    if info.apply is None:
        return [(OUTCOMES[0], np.arange(len(digests)))]
    if info.outcomes is None:
        own = f"/{scope}" if policy.partition(_CUTOUT)[0] not in POLICIES else ""
        key = hashlib.blake2b(f"{_VERSION}/{policy}/{seed}/{view}{own}".encode(), digest_size=8).hexdigest()
        return [(key, np.arange(len(digests)))]
    outcomes = info.outcomes(_drawn(digests, info, seed=seed, view=view))
    return [(OUTCOMES[one], np.flatnonzero(outcomes == one)) for one in np.unique(outcomes).tolist()]


def count_distinct_views(policy: str, views: int) -> int:
    """How many different views of an image `views` drawings can give at most."""
    info = find_policy(policy)
    assert info is not None, policy
    if info.apply is None:
        return 1
    return views if info.outcomes is None else min(views, len(OUTCOMES))


def find_policy(name: str) -> PolicyInfo | None:
    """The policy of that name, known or the user's own; None where it is neither. Raises OwnCodeError.

    Behind a name may stand `+cutout0.5`: a grey square of half the image's side comes after it.
    """
    policy, cut, side = name.partition(_CUTOUT)
    if cut:
        return _with_cutout(name, find_policy(policy), float(side))
    if name in POLICIES:
        return POLICIES[name]
    if not is_own(name, "augmentation"):
        return None
    return PolicyInfo(name=name, apply=own_policy(name), draws=OWN_DRAWS)


def _with_cutout(name: str, info: PolicyInfo | None, side: float) -> PolicyInfo | None:
    if info is None:
        return None
    first, policy = info.draws, info.apply

    def apply(image: Tensor, draws: Draws) -> Tensor:
        return _cutout(image if policy is None else policy(image, draws[:first]), draws[first:], side)

    return PolicyInfo(name=name, apply=apply, draws=first + _CUTOUT_DRAWS)


def _drawn(digests: npt.NDArray[np.uint64], info: PolicyInfo, *, seed: int, view: int) -> Draws:
    """float64 (B, draws) for a policy; what a cutout takes comes last, so that all else is as without it."""
    policy, cut, _ = info.name.partition(_CUTOUT)
    count = info.draws - (_CUTOUT_DRAWS if cut else 0)
    draws = _uniforms(digests, seed=seed, policy=policy, view=view, count=count)
    if not cut:
        return draws
    return np.hstack([draws, _uniforms(digests, seed=seed, policy="cutout", view=view, count=_CUTOUT_DRAWS)])


def _uniforms(digests: npt.NDArray[np.uint64], *, seed: int, policy: str, view: int, count: int) -> Draws:
    """float64 (B, count), uniform in [0, 1): the first outputs of one SplitMix64 stream per image.

    SplitMix64: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
    """
    key = hashlib.blake2b(f"{seed}/{policy}/{view}".encode(), digest_size=8).digest()
    start = _mix(digests.astype(np.uint64) ^ np.uint64(int.from_bytes(key, "little")))
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = _mix(start[:, None] + steps[None, :])
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _flipped(draws: Draws) -> npt.NDArray[np.int64]:
    return (draws[:, 0] < FLIP_PROBABILITY).astype(np.int64)


def _flip(image: Tensor, draws: Draws) -> Tensor:
    flipped: Tensor = functional.horizontal_flip(image) if draws[0] < FLIP_PROBABILITY else image
    return flipped


def _crop(image: Tensor, draws: Draws) -> Tensor:
    """50 to 100 % of the area at an aspect of 3:4 to 4:3 (less where that would not fit), resized back."""
    height, width = image.shape[-2:]
    area = CROP_AREA[0] + (CROP_AREA[1] - CROP_AREA[0]) * draws[0]
    widest = min(CROP_LOG_RATIO, -math.log(area))
    stretch = math.exp(widest * (2 * draws[1] - 1) / 2)
    crop_height = max(1, round(height * math.sqrt(area) / stretch))
    crop_width = max(1, round(width * math.sqrt(area) * stretch))
    top = int(draws[2] * (height - crop_height + 1))
    left = int(draws[3] * (width - crop_width + 1))
    cropped: Tensor = functional.resized_crop(
        image, top, left, crop_height, crop_width, [height, width], antialias=True
    )
    return cropped


_JITTERS: tuple[Callable[[Tensor, float], Tensor], ...] = (
    functional.adjust_brightness,
    functional.adjust_contrast,
)


def _color(image: Tensor, draws: Draws) -> Tensor:
    """Brightness and contrast, each by a factor in [0.6, 1.4), in a drawn order."""
    factors = 1 + JITTER * (2 * draws[:2] - 1)
    for index in np.argsort(draws[2:4]):
        image = _JITTERS[index](image, float(factors[index]))
    return image


def _flip_crop(image: Tensor, draws: Draws) -> Tensor:
    return _crop(_flip(image, draws[:1]), draws[1:5])


def _lecture7(image: Tensor, draws: Draws) -> Tensor:
    return _color(_flip_crop(image, draws[:5]), draws[5:9])


def _cutout(image: Tensor, draws: Draws, side: float) -> Tensor:
    """A square of `side` of the image's height, its middle anywhere in the image, in the mean colour of ImageNet.

    So it may reach over the edges (DeVries & Taylor 2017, section 3.1), and is zero for networks that normalise by
    that mean.
    """
    height, width = image.shape[-2:]
    half = side * height / 2
    middle = draws[:2] * (height, width)
    top, left = (int(edge) for edge in np.clip(np.round(middle - half), 0, (height, width)))
    bottom, right = (int(edge) for edge in np.clip(np.round(middle + half), 0, (height, width)))
    cut = image.clone()
    cut[:, top:bottom, left:right] = _GREY
    return cut


POLICIES: Mapping[str, PolicyInfo] = {
    info.name: info
    for info in (
        PolicyInfo(name="none", apply=None, draws=0),
        PolicyInfo(name="flip", apply=_flip, draws=1, outcomes=_flipped),
        PolicyInfo(name="flip_crop", apply=_flip_crop, draws=5),
        PolicyInfo(name="color", apply=_color, draws=4),
        PolicyInfo(name="lecture7", apply=_lecture7, draws=9),
    )
}
"""Where each comes from is said in search_spaces.records.AUGMENT_POLICIES."""
