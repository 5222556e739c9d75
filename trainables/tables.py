"""What a source of labelled images is, before anything is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["ImageTable"]


@dataclass(frozen=True, kw_only=True)
class ImageTable:
    """N labelled images, in an order that depends on the source alone.

    images: files, or uint8 arrays as images.decode takes them.
    names: unique, (N,): a file's path below its source. Splits follow from names, wherever the source lies.
    labels: int64 (N,), positions in `classes`.
    groups: str (N,), images that belong together, or None.
    split: str (N,) of train, val, confirm, test where the source says it itself, else None.
    """

    name: str
    images: Sequence[Path | npt.NDArray[np.uint8]]
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    groups: npt.NDArray[np.str_] | None = None
    split: npt.NDArray[np.str_] | None = None
