"""Data sets of users: functions from a folder to labelled images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from trainables.datasets.tables import ImageTable
from trainables.own_code import call_own, load_own, wrong_result

__all__ = ["load_own_dataset"]

_NEEDED = "an ImageTable or (image, label) pairs, image a path, a uint8 array or a PIL image"


def load_own_dataset(name: str, folder: Path) -> ImageTable:
    """Call the user's function `name` with `folder`, and return its images.

    The function returns an ImageTable, or pairs of an image (a path, absolute or below `folder`; a uint8 array; a PIL
    image) and a label (text or a whole number).

    Args:
        name: `module:function`, or an entry point.
        folder: `data.root`, else the sweep file's folder.

    Raises:
        OwnCodeError: the function is missing, raises, or returns anything else.
    """
    function = load_own(name, "dataset")
    returned = call_own(name, "dataset", lambda: _listed(function(folder)))
    return returned if isinstance(returned, ImageTable) else _table(name, returned, folder)


def _listed(returned: object) -> object:
    """Run a generator to its end, so that its errors count as the function's."""
    if isinstance(returned, ImageTable) or not isinstance(returned, Iterable) or isinstance(returned, str | bytes):
        return returned
    return list(returned)


def _table(name: str, pairs: object, folder: Path) -> ImageTable:
    if not isinstance(pairs, list):
        raise wrong_result(name, "dataset", _NEEDED, f"a {type(pairs).__name__}")
    images, labels, names = [], [], []
    for row, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise wrong_result(name, "dataset", _NEEDED, f"a {type(pair).__name__} in place {row}")
        image, label = pair
        if isinstance(label, bool) or not isinstance(label, str | int | np.integer):
            raise wrong_result(name, "dataset", "labels of text or whole numbers", f"{label!r} in place {row}")
        images.append(_image(name, image, row, folder))
        labels.append(str(label))
        names.append(_name(images[-1], row, folder))
    classes = tuple(sorted(set(labels)))
    code = {label: position for position, label in enumerate(classes)}
    return ImageTable(
        name=name.rpartition(":")[2],
        images=images,
        names=tuple(names),
        labels=np.array([code[label] for label in labels], dtype=np.int64),
        classes=classes,
    )


def _image(name: str, image: object, row: int, folder: Path) -> Path | np.ndarray:
    if isinstance(image, str | Path):
        return folder / image
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        return image
    raise wrong_result(name, "dataset", _NEEDED, f"a {type(image).__name__} as the image in place {row}")


def _name(image: Path | np.ndarray, row: int, folder: Path) -> str:
    if not isinstance(image, Path):
        return f"{row:06d}"
    return image.relative_to(folder).as_posix() if image.is_relative_to(folder) else image.as_posix()
