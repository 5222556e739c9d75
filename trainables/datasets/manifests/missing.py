"""A way out for manifests whose images are not where the manifest says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from search_spaces.errors import show
from trainables.datasets.files import join_uri
from trainables.datasets.manifests.roots import ListedRoot, LocalRoot, PlaceError, Root

__all__ = ["find_way_out"]

_TRIED: Final = 3
_MOST_FILES: Final = 200_000


def find_way_out(root: Root, base_dir: Path | None, cells: Sequence[str]) -> str:
    """Return what to write so that cells which name no file name one; "" if nothing below the root is called so.

    Args:
        root: the folder in which the cells' paths start.
        base_dir: the folder in which relative paths of the sweep file start.
        cells: cells that name no file; a few are tried.
    """
    first, *others = (cell.replace("\\", "/").removeprefix("./") for cell in cells[:_TRIED])
    for name in _named_like(root, PurePosixPath(first).name):
        folder = _folder_before(name, first)
        if folder is None:
            return f": {show(name)} has this name; write paths as they are below {root.place}"
        if all(_names_file(root, f"{folder}/{cell}") for cell in others):
            return f": they lie in {folder}; write under data: `root: {_written(root, folder, base_dir)}`"
    return ""


def _named_like(root: Root, wanted: str) -> Iterator[str]:
    """Yield the paths below the root of files that are called so, with or without a suffix."""
    paths = sorted(_paths(root), key=lambda path: (path.count("/"), path))
    return (path for path in paths if wanted in (PurePosixPath(path).name, PurePosixPath(path).stem))


def _paths(root: Root) -> Iterator[str]:
    if isinstance(root, ListedRoot):
        return iter(root.files)
    place = Path(root.place)
    below = (Path(parent, name).relative_to(place).as_posix() for parent, _, names in os.walk(place) for name in names)
    return islice(below, _MOST_FILES)


def _folder_before(name: str, cell: str) -> str | None:
    """Return the folder from which `cell` leads to the file `name`; None if none does."""
    for ending in (f"/{cell}", f"/{cell}{PurePosixPath(name).suffix}"):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return None


def _names_file(root: Root, cell: str) -> bool:
    try:
        root.locate(cell)
    except PlaceError:
        return False
    return True


def _written(root: Root, folder: str, base_dir: Path | None) -> str:
    """Return the folder as the sweep file names it: relative to its own folder if it lies there."""
    if not isinstance(root, LocalRoot):
        return join_uri(str(root.place), folder)
    place = (root.place / folder).absolute()
    base = None if base_dir is None else base_dir.absolute()
    return (place.relative_to(base) if base is not None and place.is_relative_to(base) else place).as_posix()
