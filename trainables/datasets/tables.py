"""Tables of labelled images, before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from search_spaces.errors import show
from trainables.datasets.files import RemoteFile
from trainables.errors import DataError

__all__ = [
    "EmbeddedImage",
    "ImageSource",
    "ImageTable",
    "LeftOut",
    "check_class_names",
    "check_table",
    "source_facts",
]

_EXAMPLES = 3


class EmbeddedImage(Protocol):
    """An image file inside another file; `str` gives its name for messages."""

    @property
    def stamp(self) -> str:
        """Text that changes with the file around it and names the place in it."""
        ...

    def read(self) -> bytes:
        """Return the image file's bytes; raise DataError if they cannot be read."""
        ...


ImageSource = Path | RemoteFile | EmbeddedImage | npt.NDArray[np.uint8]
"""An image: a file, here, behind a URI or inside another file; or an array as `decode_image` takes it."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Files of a source that are not among its images, for one reason; `examples` names some of them."""

    reason: str
    files: int
    examples: tuple[str, ...]

    @classmethod
    def group(cls, files: Iterable[tuple[str, str]]) -> tuple[LeftOut, ...]:
        """Return (reason, name) pairs by their reason, the most frequent first."""
        names: dict[str, list[str]] = {}
        for reason, name in files:
            names.setdefault(reason, []).append(name)
        groups = [cls(reason=why, files=len(those), examples=tuple(those[:_EXAMPLES])) for why, those in names.items()]
        return tuple(sorted(groups, key=lambda group: (-group.files, group.reason)))


@dataclass(frozen=True, kw_only=True)
class ImageTable:
    """N labelled images, in an order that depends on the source alone.

    Attributes:
        name: name of the data set.
        images: (N,), a file or pixels for each image.
        names: (N,), unique, such as a file's path below its source. Splits follow from names, so a data set that moves
            keeps its splits.
        labels: int64 (N,), positions in `classes`.
        classes: class names.
        groups: str (N,), equal for images that must stay in one split; None for no groups.
        split: str (N,) of train, val, confirm and test; "" for images that `data.split` divides among the splits that
            the source does not name. None if the source names no splits.
        layout: how folders were read, in words; "" for sources without folders.
        left_out: files of the source that are not among the images.
    """

    name: str
    images: Sequence[ImageSource]
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    groups: npt.NDArray[np.str_] | None = None
    split: npt.NDArray[np.str_] | None = None
    layout: str = ""
    left_out: tuple[LeftOut, ...] = ()


def source_facts(table: ImageTable) -> dict[str, object]:
    """Return how a source was read, as plain data: `layout`, and `left_out` with reason, files and examples."""
    groups = [{"reason": g.reason, "files": g.files, "examples": list(g.examples)} for g in table.left_out]
    return {"layout": table.layout, "left_out": groups}


def check_class_names(classes: Iterable[str], place: str) -> None:
    """Raise DataError if two class names differ only in case, since one of them must be a mistake."""
    seen: dict[str, str] = {}
    for name in classes:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise DataError(f"{place}: classes must differ in more than case ({show(other)} and {show(name)})")


def check_table(table: ImageTable, place: str) -> None:
    """Raise DataError if the parts of a table do not fit together, as may happen with own code."""
    total = len(table.images)
    if len(table.classes) < 2:
        raise DataError(f"{place}: must hold at least two classes ({len(table.classes)})")
    for part in ("names", "labels", "groups", "split"):
        values = getattr(table, part)
        if values is not None and len(values) != total:
            raise DataError(f"{place}: must have as many {part} as images ({len(values)} and {total})")
    if len(set(table.names)) != total:
        raise DataError(f"{place}: each image must have a name of its own")
    if total == 0 or table.labels.min() < 0 or table.labels.max() >= len(table.classes):
        raise DataError(f"{place}: must hold images, with labels 0 to {len(table.classes) - 1}")
    check_class_names(table.classes, place)
