"""Augmentations of users, as policies like any other."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainables.own_code import call_own, load_own, wrong_result

__all__ = ["OWN_DRAWS", "own_policy"]

OWN_DRAWS = 4


@cache
def own_policy(name: str) -> Callable[[Tensor, npt.NDArray[np.float64]], Tensor]:
    """Return a policy's `apply` that calls `function(image, generator)`, from uint8 (3, H, W) to uint8 (3, H, W).

    The generator follows from the view's key, so a function that takes all chance from it gives the same view again.

    Raises:
        OwnCodeError: the function is missing. The returned `apply` raises it if the function raises, or returns
            anything but such an image.
    """
    return partial(_apply, name, load_own(name, "augmentation"))


def _apply(name: str, function: Callable[..., object], image: Tensor, draws: npt.NDArray[np.float64]) -> Tensor:
    generator = np.random.default_rng((draws * 2**53).astype(np.uint64))
    result = call_own(name, "augmentation", function, image.clone(), generator)
    needed = f"a uint8 tensor {tuple(image.shape)}"
    if not isinstance(result, Tensor):
        raise wrong_result(name, "augmentation", needed, f"a {type(result).__name__}")
    if result.dtype != torch.uint8 or result.shape != image.shape:
        raise wrong_result(name, "augmentation", needed, f"a {str(result.dtype)[6:]} tensor {tuple(result.shape)}")
    return result
