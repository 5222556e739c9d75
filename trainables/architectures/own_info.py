"""Description of a user's backbone, measured with two images before any time is spent."""

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
    """Describe a user's backbone by a pass over two images of `image_size` pixels, taken as its native size.

    Raises:
        OwnCodeError: its stages do not lead from such images to features, or give other values each time.
    """
    function = load_own(name, "backbone")
    mean, std = _triple(name, function, "mean", _MEAN), _triple(name, function, "std", _STD)
    model = build_seeded(name).to(memory_format=torch.channels_last).eval()
    images = torch.rand(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        with MultiplyAddCounter() as counting:
            outputs = _stage_outputs(name, model, images)
        _refuse_chance(name, outputs, _stage_outputs(name, model, images))
    return BackboneInfo(
        name=name,
        family=name.partition(":")[0],
        stages=len(model),
        features=_count_features(name, outputs[-1]),
        map_size=outputs[-1].shape[-1] if outputs[-1].ndim == 4 else 0,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        multiply_adds=counting.multiply_adds // len(images),
        input_size=image_size,
        sizing="any",
        mean=mean,
        std=std,
        interpolation="bilinear",
        weights_source=f"own:{name}" if can_be_pretrained(name) else "",
    )


def _stage_outputs(name: str, model: nn.Sequential, images: Tensor) -> list[Tensor]:
    """Return the output of each stage, in eval mode and with channels last, as training calls them."""
    features, size = images.clone(memory_format=torch.channels_last), images.shape[-1]
    outputs = []
    for number, stage in enumerate(model, start=1):
        place = f"stage {number} of {len(model)}, on images of {size} px,"
        try:
            output = stage(features)
        except Exception as error:  # the user's code may raise anything
            raise own_error(name, "backbone", f"{place} raised {type(error).__name__}: {error}") from error
        if not isinstance(output, Tensor) or output.ndim == 0 or len(output) != len(features):
            shown = _shown(output) if isinstance(output, Tensor) else f"a {type(output).__name__}"
            problem = (
                f"{place} must give one tensor ({len(features)}, ...) for {len(features)} images, and gave {shown}"
            )
            raise own_error(name, "backbone", problem)
        outputs.append(output.clone())
        features = output
    return outputs


def _refuse_chance(name: str, outputs: list[Tensor], again: list[Tensor]) -> None:
    for number, (first, second) in enumerate(zip(outputs, again, strict=True), start=1):
        if not torch.equal(first.nan_to_num(), second.nan_to_num()):
            raise own_error(name, "backbone", f"stage {number} of {len(outputs)} must give the same again in eval mode")


def _count_features(name: str, last: Tensor) -> int:
    if last.ndim in (2, 4):
        return last.shape[1]
    needed = "stages that lead to features (B, F) or maps (B, F, h, w)"
    raise wrong_result(name, "backbone", needed, f"some that lead to {_shown(last)}")


def _shown(tensor: Tensor) -> str:
    return f"a tensor {tuple(tensor.shape)}"


def _triple(name: str, function: object, attribute: str, default: Triple) -> Triple:
    """Return three numbers for R, G and B from an attribute of the function."""
    value = getattr(function, attribute, default)
    must_be_positive = attribute == "std"
    if isinstance(value, list | tuple) and len(value) == 3 and all(isinstance(number, int | float) for number in value):
        red, green, blue = map(float, value)
        if all(math.isfinite(number) and (number > 0 or not must_be_positive) for number in (red, green, blue)):
            return red, green, blue
    rule = "three numbers > 0" if must_be_positive else "three numbers"
    raise own_error(name, "backbone", f"its attribute {attribute} must be {rule} ({value!r})")
