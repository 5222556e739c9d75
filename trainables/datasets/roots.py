"""Root folders of manifests: relative paths of images start there, and no path may leave them."""

from __future__ import annotations

import os
import posixpath
from functools import cached_property
from pathlib import Path
from typing import Protocol

from search_spaces.errors import show
from trainables.datasets.files import RemoteFile, is_uri, list_files, resolve_location
from trainables.errors import DataError

__all__ = ["LocalRoot", "RemoteRoot", "Root", "open_root"]


class Root(Protocol):
    """A folder that finds images by the cells of a manifest."""

    def locate(self, cell: str) -> tuple[str, Path | RemoteFile]:
        """Return (name below the root, file); raise DataError if the cell leaves the root, or names no file."""
        ...


def open_root(place: Path | str) -> Root:
    """Return the root at a path or a URI."""
    return LocalRoot(place) if isinstance(place, Path) else RemoteRoot(place)


class LocalRoot:
    """A folder of this machine. Paths are checked as they are written: links inside the folder may lead out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bases = tuple(dict.fromkeys([Path(os.path.abspath(path)), path.resolve()]))  # noqa: PTH100

    def locate(self, cell: str) -> tuple[str, Path]:
        """Return (name below the root, file), as `Root.locate` does."""
        place = resolve_location(cell, self.path) if is_uri(cell) else self.path / cell
        if isinstance(place, Path):
            full = Path(os.path.abspath(place))  # noqa: PTH100 - removes `..`, keeps links
            for base in self._bases:
                if full.is_relative_to(base):
                    name = full.relative_to(base).as_posix()
                    return name, self._existing(name, cell)
        raise _outside(cell, self.path)

    def _existing(self, name: str, cell: str) -> Path:
        file = self.path / name
        if not file.is_file():
            raise DataError(f"no such file ({show(cell)})")
        return file


class RemoteRoot:
    """A folder behind a URI, listed once."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")

    @cached_property
    def files(self) -> dict[str, RemoteFile]:
        """All files below the root, by their path below it."""
        return list_files(self.uri)

    def locate(self, cell: str) -> tuple[str, RemoteFile]:
        """Return (name below the root, file), as `Root.locate` does."""
        inside = cell.removeprefix(f"{self.uri}/") if is_uri(cell) else cell
        name = posixpath.normpath(inside)
        if is_uri(inside) or name.startswith(("/", "../")) or name == "..":
            raise _outside(cell, self.uri)
        file = self.files.get(name)
        if file is None:
            raise DataError(f"no such file ({show(cell)})")
        return name, file


def _outside(cell: str, root: Path | str) -> DataError:
    return DataError(f"must lie below {root}, or data.root must be a folder that holds it ({show(cell)})")
