"""Image folders: one folder for each class, on this machine or behind a URI."""

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
    """List the images below `root`; the first folder of an image's path is its class.

    Hidden files and folders are left out.

    Args:
        root: a path or a URI.

    Raises:
        DataError: fewer than two classes, a class without images, classes that are splits, or two class names that
            differ only in case.
        OSError: a folder cannot be read.
    """
    images = _list_local(root) if isinstance(root, Path) else _list_remote(root)
    classes = tuple(sorted(images))
    _check(root, classes, images)
    names = [name for label in classes for name in images[label]]
    return ImageTable(
        name=root.resolve().name if isinstance(root, Path) else root.rpartition("/")[2],
        images=[image for label in classes for image in images[label].values()],
        names=tuple(names),
        labels=np.repeat(np.arange(len(classes)), [len(images[label]) for label in classes]).astype(np.int64),
        classes=classes,
    )


def _check(root: Path | str, classes: tuple[str, ...], images: Mapping[str, Mapping[str, ImageSource]]) -> None:
    if not any(images.values()):
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
    empty = [name for name in classes if not images[name]]
    if empty:
        raise DataError(f"data.source: class folders of {root} must hold images (none in {', '.join(empty)})")
    check_class_names(classes, f"data.source: {root}")


def _list_local(root: Path) -> dict[str, dict[str, ImageSource]]:
    """Return class -> path below `root` -> file, sorted by the path below the class."""
    folders = [entry.name for entry in root.iterdir() if entry.is_dir() and not _is_hidden(entry.name)]
    return {
        name: {image.relative_to(root).as_posix(): image for image in _images_below(root / name)} for name in folders
    }


def _images_below(folder: Path) -> list[Path]:
    """Return files with an image suffix at any depth, sorted by path; follow links, but enter each folder once."""
    images: list[Path] = []
    entered: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(parent)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        images += [Path(parent, name) for name in files if _is_image(name)]
    return sorted(images, key=lambda image: image.relative_to(folder).as_posix())


def _raise(error: OSError) -> None:
    raise error


def _list_remote(uri: str) -> dict[str, dict[str, ImageSource]]:
    """Return the same for a URI, from one listing, in which empty folders may be missing."""
    images: dict[str, dict[str, ImageSource]] = {}
    for name, file in list_files(uri).items():
        parts = PurePosixPath(name).parts
        if len(parts) > 1 and not any(map(_is_hidden, parts)):
            of_class = images.setdefault(parts[0], {})
            if _is_image(parts[-1]):
                of_class[name] = file
    return images


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")
