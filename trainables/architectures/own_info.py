"""What an own backbone makes of images: found out by showing it two, before any time is spent."""

from __future__ import annotations

import math
from functools import cache
from typing import Final

import torch
from torch import Tensor, nn

from search_spaces.backbones import BackboneInfo
from trainables.architectures.multiply_adds import MultiplyAddCounter
from trainables.architectures.own_backbones import build_seeded, can_be_pretrained
from trainables.own_code import load_own, own_error, wrong_result

__all__ = ["describe_own_backbone"]

_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)

Triple = tuple[float, float, float]


@cache
def describe_own_backbone(name: str, image_size: int) -> BackboneInfo:
    """What is known of an own backbone that is shown images of `image_size` px, which then is its native size.

    Raises OwnCodeError where its stages do not lead from such images to features, or lead elsewhere each time.
    """
    function = load_own(name, "backbone")
    mean, std = _triple(name, function, "mean", _MEAN), _triple(name, function, "std", _STD)
    model = build_seeded(name).to(memory_format=torch.channels_last).eval()
    images = torch.rand(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        with MultiplyAddCounter() as counting:
            gave = _followed(name, model, images)
        _refuse_chance(name, gave, _followed(name, model, images))
    return BackboneInfo(
        name=name,
        family=name.partition(":")[0],
        stages=len(model),
        features=_features(name, gave[-1]),
        map_size=gave[-1].shape[-1] if gave[-1].ndim == 4 else 0,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        multiply_adds=counting.multiply_adds // len(images),
        input_size=image_size,
        sizing="any",
        mean=mean,
        std=std,
        interpolation="bilinear",
        weights_source=f"own:{name}" if can_be_pretrained(name) else "",
    )


def _followed(name: str, model: nn.Sequential, images: Tensor) -> list[Tensor]:
    """What each stage gives, in eval mode and with channels last, as training calls them."""
    given, size = images.clone(memory_format=torch.channels_last), images.shape[-1]
    all_gave = []
    for number, stage in enumerate(model, start=1):
        place = f"stage {number} of {len(model)}, on images of {size} px,"
        try:
            gave = stage(given)
        except Exception as error:  # the user's code may raise anything
            raise own_error(name, "backbone", f"{place} raised {type(error).__name__}: {error}") from error
        if not isinstance(gave, Tensor) or gave.ndim == 0 or len(gave) != len(given):
            found = _shown(gave) if isinstance(gave, Tensor) else f"a {type(gave).__name__}"
            problem = f"{place} must give one tensor ({len(given)}, ...) for {len(given)} images, and gave {found}"
            raise own_error(name, "backbone", problem)
        all_gave.append(gave.clone())
        given = gave
    return all_gave


def _refuse_chance(name: str, gave: list[Tensor], again: list[Tensor]) -> None:
    for number, (first, second) in enumerate(zip(gave, again, strict=True), start=1):
        if not torch.equal(first.nan_to_num(), second.nan_to_num()):
            raise own_error(name, "backbone", f"stage {number} of {len(gave)} must give the same again in eval mode")


def _features(name: str, last: Tensor) -> int:
    if last.ndim in (2, 4):
        return last.shape[1]
    needed = "stages that lead to features (B, F) or maps (B, F, h, w)"
    raise wrong_result(name, "backbone", needed, f"some that lead to {_shown(last)}")


def _shown(tensor: Tensor) -> str:
    return f"a tensor {tuple(tensor.shape)}"


def _triple(name: str, function: object, attribute: str, default: Triple) -> Triple:
    """How the channels of RGB are normalised, from an attribute of the function."""
    value = getattr(function, attribute, default)
    positive = attribute == "std"
    if isinstance(value, list | tuple) and len(value) == 3 and all(isinstance(one, int | float) for one in value):
        red, green, blue = map(float, value)
        if all(math.isfinite(one) and (one > 0 or not positive) for one in (red, green, blue)):
            return red, green, blue
    rule = "three numbers > 0" if positive else "three numbers"
    raise own_error(name, "backbone", f"its attribute {attribute} must be {rule} ({value!r})")
