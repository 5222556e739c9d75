"""Whether a backbone takes images of a size, found out with shapes alone, before any time is spent."""

from __future__ import annotations

import copy
from functools import cache

import torch

from search_spaces.backbones import BACKBONES
from search_spaces.errors import MeltpointError
from trainables.architectures.architectures import find_architecture
from trainables.architectures.own_info import describe_own_backbone
from trainables.architectures.shapes import ShapesOnly

__all__ = ["check_image_size", "find_refusal"]


def check_image_size(backbone: str, image_size: int) -> None:
    """Raise MeltpointError, saying why, where `backbone` cannot take images of `image_size` px.

    Of the user's own, also where its stages do not lead to features.
    """
    if backbone not in BACKBONES:
        describe_own_backbone(backbone, image_size)
        return
    reason = find_refusal(backbone, image_size)
    if reason is not None:
        native = BACKBONES[backbone].input_size
        raise MeltpointError(
            f"image_size must be one that {backbone} takes, such as its own {native} ({image_size}): {reason}"
        )


@cache
def find_refusal(backbone: str, image_size: int) -> str | None:
    """Why `backbone` cannot take images of this size; None where it can."""
    arch = find_architecture(backbone)
    model = copy.deepcopy(arch.skeleton)
    try:
        arch.resize(model, image_size)
        with torch.no_grad(), ShapesOnly():
            arch.cut(model).whole()(torch.empty(2, 3, image_size, image_size, device="meta"))
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None
