"""Check of image sizes: a pass with shapes alone tells if a backbone takes them, before any time is spent."""

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
    """Check that `backbone` takes images of `image_size` x `image_size` pixels.

    Raises:
        MeltpointError: it does not; the message gives the reason.
        OwnCodeError: the stages of the user's own backbone fail, or do not lead to features.
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
    """Return the reason why `backbone` cannot take images of this size in pixels; None if it can."""
    arch = find_architecture(backbone)
    model = copy.deepcopy(arch.skeleton)
    try:
        arch.resize(model, image_size)
        with torch.no_grad(), ShapesOnly():
            arch.cut(model).whole()(torch.empty(2, 3, image_size, image_size, device="meta"))
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None
