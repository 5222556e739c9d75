"""What a source of labelled images is, before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from search_spaces.errors import show
from trainables.datasets.files import RemoteFile
from trainables.errors import DataError

__all__ = ["ImageSource", "ImageTable", "check_class_names", "check_table"]

ImageSource = Path | RemoteFile | npt.NDArray[np.uint8]
"""One image: a file here, a file behind a URI, or uint8 pixels as images.decode takes them."""


@dataclass(frozen=True, kw_only=True)
class ImageTable:
    """N labelled images, in an order that depends on the source alone.

    names: unique, (N,): a file's path below its source. Splits follow from names, wherever the source lies.
    labels: int64 (N,), positions in `classes`.
    groups: str (N,), images that belong together, or None.
    split: str (N,) of train, val, confirm, test where the source says it itself, "" where data.split shall
        decide among the splits that the source leaves unnamed; None where it says nothing.
    """

    name: str
    images: Sequence[ImageSource]
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    groups: npt.NDArray[np.str_] | None = None
    split: npt.NDArray[np.str_] | None = None


def check_class_names(classes: Iterable[str], place: str) -> None:
    """Raises DataError for two classes with the same name but for case: one of them is a slip."""
    seen: dict[str, str] = {}
    for name in classes:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise DataError(f"{place}: classes must differ in more than case ({show(other)} and {show(name)})")


def check_table(table: ImageTable, place: str) -> None:
    """Raises DataError for a table whose parts do not fit together, as own code may make one."""
    total = len(table.images)
    if len(table.classes) < 2:
        raise DataError(f"{place}: must hold at least two classes ({len(table.classes)})")
    for part in ("names", "labels", "groups", "split"):
        values = getattr(table, part)
        if values is not None and len(values) != total:
            raise DataError(f"{place}: must have as many {part} as images ({len(values)} and {total})")
    if len(set(table.names)) != total:
        raise DataError(f"{place}: each image must be listed once, under a name of its own")
    if total == 0 or table.labels.min() < 0 or table.labels.max() >= len(table.classes):
        raise DataError(f"{place}: must hold images, with labels 0 to {len(table.classes) - 1}")
    check_class_names(table.classes, place)
