"""Views: one augmentation draw of one image, keyed by (seed, policy, image, view number).

A view depends on nothing else: not on the rest of the batch, the trial, or torch's global random state. Trials that
share a seed and a policy therefore see the same pixels and are paired.
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
"""Version of all policies below. Change it with a policy, so that no cached activations of old views are used."""


@dataclass(frozen=True, kw_only=True)
class PolicyInfo:
    """An augmentation policy.

    Attributes:
        name: the policy's name in recipes.
        apply: pure function (image uint8 (3, H, W), draws float64 (draws,) uniform in [0, 1)) -> uint8 (3, H, W); None
            leaves images unchanged.
        draws: number of uniform numbers for one view of one image.
        outcomes: for a policy with few different views, function from draws (B, draws) to positions (B,) in OUTCOMES.
    """

    name: str
    apply: Callable[[Tensor, Draws], Tensor] | None
    draws: int
    outcomes: Callable[[Draws], npt.NDArray[np.int64]] | None = None


def draw_views(images: Tensor, digests: npt.NDArray[np.uint64], *, seed: int, policy: str, view: int) -> Tensor:
    """Draw one view of each image.

    Args:
        images: uint8 (B, 3, H, W), in any memory layout.
        digests: uint64 (B,), content digests of the images.
        seed: the trial's training seed.
        policy: name of the augmentation policy.
        view: number of the view.

    Returns:
        uint8 (B, 3, H, W): a new contiguous tensor, or `images` itself if the policy changes nothing.

    Raises:
        ValueError: the policy is unknown, or images and digests do not match.
        OwnCodeError: the user's own function fails.
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
    draws = _draw_uniforms(digests, info, seed=seed, view=view)
    # Contrast is a sum over pixels: a fixed memory layout fixes its rounding, and so the view.
    source = images.contiguous()
    result = torch.empty_like(source)
    with one_thread():
        for row, image in enumerate(source):
            result[row] = info.apply(image, draws[row])
    return result


def group_by_view_kind(
    digests: npt.NDArray[np.uint64], *, seed: int, policy: str, view: int, scope: str = ""
) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """Group images by the kind of their view: return (name of the kind, positions in `digests`).

    All views of one image that are of one kind have the same pixels, whatever their policy, seed and view number: a
    flip that does not mirror an image gives the kind `plain`, as no augmentation does.

    Args:
        digests: uint64 (B,), content digests of the images.
        seed: the trial's training seed.
        policy: name of the augmentation policy.
        view: number of the view.
        scope: part of the kind's name for a user's own function, whose code may change under the same name.
    """
    info = find_policy(policy)
    assert info is not None, policy
    if info.apply is None:
        return [(OUTCOMES[0], np.arange(len(digests)))]
    if info.outcomes is None:
        own = f"/{scope}" if policy.partition(_CUTOUT)[0] not in POLICIES else ""
        key = hashlib.blake2b(f"{_VERSION}/{policy}/{seed}/{view}{own}".encode(), digest_size=8).hexdigest()
        return [(key, np.arange(len(digests)))]
    outcomes = info.outcomes(_draw_uniforms(digests, info, seed=seed, view=view))
    return [(OUTCOMES[outcome], np.flatnonzero(outcomes == outcome)) for outcome in np.unique(outcomes).tolist()]


def count_distinct_views(policy: str, views: int) -> int:
    """Return the largest number of different views of one image in `views` draws."""
    info = find_policy(policy)
    assert info is not None, policy
    if info.apply is None:
        return 1
    return views if info.outcomes is None else min(views, len(OUTCOMES))


def find_policy(name: str) -> PolicyInfo | None:
    """Return the policy of that name, from POLICIES or the user's own; None if there is none.

    The name may end with `+cutout0.5`, which adds a grey square with half the image's height.

    Raises:
        OwnCodeError: the user's own function is missing.
    """
    policy, cutout, share = name.partition(_CUTOUT)
    if cutout:
        return _with_cutout(name, find_policy(policy), float(share))
    if name in POLICIES:
        return POLICIES[name]
    if not is_own(name, "augmentation"):
        return None
    return PolicyInfo(name=name, apply=own_policy(name), draws=OWN_DRAWS)


def _with_cutout(name: str, info: PolicyInfo | None, share: float) -> PolicyInfo | None:
    if info is None:
        return None
    first, policy = info.draws, info.apply

    def apply(image: Tensor, draws: Draws) -> Tensor:
        return _cutout(image if policy is None else policy(image, draws[:first]), draws[first:], share)

    return PolicyInfo(name=name, apply=apply, draws=first + _CUTOUT_DRAWS)


def _draw_uniforms(digests: npt.NDArray[np.uint64], info: PolicyInfo, *, seed: int, view: int) -> Draws:
    """Return float64 (B, draws) for a policy; a cutout's numbers come last, and change no other number."""
    policy, cutout, _ = info.name.partition(_CUTOUT)
    count = info.draws - (_CUTOUT_DRAWS if cutout else 0)
    draws = _uniforms(digests, seed=seed, policy=policy, view=view, count=count)
    if not cutout:
        return draws
    return np.hstack([draws, _uniforms(digests, seed=seed, policy="cutout", view=view, count=_CUTOUT_DRAWS)])


def _uniforms(digests: npt.NDArray[np.uint64], *, seed: int, policy: str, view: int, count: int) -> Draws:
    """Return float64 (B, count), uniform in [0, 1): the first outputs of one SplitMix64 stream per image.

    Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
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
    """Crop 50 to 100 % of the area at an aspect of 3:4 to 4:3, or nearer to 1 if that does not fit; resize back."""
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
    """Change brightness and contrast, each by a factor in [0.6, 1.4), in a drawn order."""
    factors = 1 + JITTER * (2 * draws[:2] - 1)
    for index in np.argsort(draws[2:4]):
        image = _JITTERS[index](image, float(factors[index]))
    return image


def _flip_crop(image: Tensor, draws: Draws) -> Tensor:
    return _crop(_flip(image, draws[:1]), draws[1:5])


def _lecture7(image: Tensor, draws: Draws) -> Tensor:
    return _color(_flip_crop(image, draws[:5]), draws[5:9])


def _cutout(image: Tensor, draws: Draws, share: float) -> Tensor:
    """Cover a square with ImageNet's mean colour: its side is `share` of the image's height, its middle anywhere.

    The square may reach over the edges (DeVries & Taylor 2017, section 3.1). Networks that normalize by that mean see
    zeros.
    """
    height, width = image.shape[-2:]
    half = share * height / 2
    middle = draws[:2] * (height, width)
    top, left = (int(edge) for edge in np.clip(np.round(middle - half), 0, (height, width)))
    bottom, right = (int(edge) for edge in np.clip(np.round(middle + half), 0, (height, width)))
    covered = image.clone()
    covered[:, top:bottom, left:right] = _GREY
    return covered


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
"""Policies by name; search_spaces.records.AUGMENT_POLICIES gives their sources."""
