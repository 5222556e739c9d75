"""Folders of class folders, here or behind a URI."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from search_spaces.errors import show
from trainables.datasets.files import list_files
from trainables.datasets.images import SUFFIXES
from trainables.datasets.splits import SPLITS
from trainables.datasets.tables import ImageSource, ImageTable, check_class_names
from trainables.errors import DataError

__all__ = ["load_folder"]


def load_folder(root: Path | str) -> ImageTable:
    """The images below each first folder of `root` (a path or a URI), that folder's name their class.

    Hidden files and folders are left out. Raises DataError for fewer than two classes, an empty one, classes
    that are splits, and classes with the same name but for case, and OSError for folders that cannot be read.
    """
    found = _found_here(root) if isinstance(root, Path) else _found_behind(root)
    classes = tuple(sorted(found))
    _check(root, classes, found)
    names = [name for label in classes for name in found[label]]
    return ImageTable(
        name=root.resolve().name if isinstance(root, Path) else root.rpartition("/")[2],
        images=[image for label in classes for image in found[label].values()],
        names=tuple(names),
        labels=np.repeat(np.arange(len(classes)), [len(found[label]) for label in classes]).astype(np.int64),
        classes=classes,
    )


def _check(root: Path | str, classes: tuple[str, ...], found: Mapping[str, Mapping[str, ImageSource]]) -> None:
    if not any(found.values()):
        raise DataError(
            f"data.source: no images: {root} must hold one folder per class with {', '.join(sorted(SUFFIXES))} files"
        )
    if len(classes) < 2:
        raise DataError(f"data.source: {root} must hold at least two class folders (only {show(classes[0])})")
    if set(classes) <= {*SPLITS, "valid", "validation"}:
        raise DataError(
            f"data.source: {root} holds splits ({', '.join(classes)}), not classes: "
            f"list the images in a manifest with the columns image,label,split"
        )
    empty = [name for name in classes if not found[name]]
    if empty:
        raise DataError(f"data.source: class folders of {root} must hold images (none in {', '.join(empty)})")
    check_class_names(classes, f"data.source: {root}")


def _found_here(root: Path) -> dict[str, dict[str, ImageSource]]:
    """Class -> name below `root` -> file, sorted by path below the class."""
    folders = [entry.name for entry in root.iterdir() if entry.is_dir() and not _is_hidden(entry.name)]
    return {
        name: {image.relative_to(root).as_posix(): image for image in _images_below(root / name)} for name in folders
    }


def _images_below(folder: Path) -> list[Path]:
    """Files with an image's suffix at any depth, links followed, each folder entered once, sorted by path."""
    images: list[Path] = []
    entered: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True, onerror=_raise):
        place = os.path.realpath(here)
        if place in entered:
            folders.clear()
            continue
        entered.add(place)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        images += [Path(here, name) for name in files if _is_image(name)]
    return sorted(images, key=lambda image: image.relative_to(folder).as_posix())


def _raise(error: OSError) -> None:
    raise error


def _found_behind(uri: str) -> dict[str, dict[str, ImageSource]]:
    """The same for a URI: one listing, in which empty folders may be missing."""
    found: dict[str, dict[str, ImageSource]] = {}
    for name, file in list_files(uri).items():
        parts = PurePosixPath(name).parts
        if len(parts) > 1 and not any(map(_is_hidden, parts)):
            images = found.setdefault(parts[0], {})
            if _is_image(parts[-1]):
                images[name] = file
    return found


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")
