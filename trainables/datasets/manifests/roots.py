"""Root folders of manifests: relative paths of images start there, and no path may leave them."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from search_spaces.errors import show
from trainables.datasets.archives import list_place
from trainables.datasets.files import is_uri, join_uri, resolve_location
from trainables.datasets.images import SUFFIXES
from trainables.datasets.tables import ImageSource
from trainables.errors import DataError

__all__ = ["MISSING", "ListedRoot", "LocalRoot", "PlaceError", "Root", "open_root"]

MISSING = "no such file"
"""Rule of a PlaceError for a cell that names no file."""


class PlaceError(DataError):
    """A cell names no image: the rule that it breaks, and its text."""

    def __init__(self, rule: str, value: str) -> None:
        super().__init__(rule, value)
        self.rule, self.value = rule, value

    def __str__(self) -> str:
        return f"{self.rule} ({show(self.value)})"


class Root(Protocol):
    """A folder that finds images by the cells of a manifest."""

    @property
    def place(self) -> Path | str:
        """The folder's path or URI."""
        ...

    def locate(self, cell: str) -> tuple[str, ImageSource]:
        """Return (name below the root, file).

        Backslashes are read as slashes, and an image's suffix may be missing, if no file is called as the cell says.

        Raises:
            PlaceError: the cell leaves the root, names no file, or several that differ in their suffix alone.
        """
        ...


def open_root(place: Path | str) -> Root:
    """Return the root at a path or a URI."""
    return LocalRoot(place) if isinstance(place, Path) else ListedRoot(place.rstrip("/"))


class LocalRoot:
    """A folder of this machine. Paths are checked as they are written: links inside the folder may lead out."""

    def __init__(self, path: Path) -> None:
        self.place = path
        self._bases = tuple(dict.fromkeys([Path(os.path.abspath(path)), path.resolve()]))  # noqa: PTH100
        self._folders: dict[str, _FileNames] = {}

    def locate(self, cell: str) -> tuple[str, Path]:
        """Return (name below the root, file), as `Root.locate` does."""
        for spelled in _spellings(cell):
            name = self._name(spelled, cell)
            folder, slash, last = name.rpartition("/")
            names = self._list(folder)
            if last not in names.all and last in names.by_stem:
                name = f"{folder}{slash}{_only(names.by_stem[last], cell)}"
            elif last not in names.all and not (self.place / name).is_file():
                continue
            return name, self.place / name
        raise PlaceError(MISSING, cell)

    def _name(self, spelled: str, cell: str) -> str:
        name = posixpath.normpath(spelled)
        if not name.startswith(("/", "..")) and name != "." and not is_uri(spelled):
            return name
        place = resolve_location(spelled, self.place) if is_uri(spelled) else self.place / spelled
        if isinstance(place, Path):
            full = Path(os.path.abspath(place))  # noqa: PTH100 - removes `..`, keeps links
            for base in self._bases:
                if full.is_relative_to(base):
                    return full.relative_to(base).as_posix()
        raise _outside(cell, self.place)

    def _list(self, folder: str) -> _FileNames:
        if folder not in self._folders:
            try:
                with os.scandir(self.place / folder) as entries:
                    names = sorted(entry.name for entry in entries if entry.is_file())
            except OSError:
                names = []
            self._folders[folder] = _FileNames(all=frozenset(names), by_stem=_by_stem(names))
        return self._folders[folder]


@dataclass(frozen=True, kw_only=True)
class _FileNames:
    """Names of a folder's files; by_stem: name without suffix -> names, of those with the suffix of an image."""

    all: frozenset[str]
    by_stem: Mapping[str, list[str]]


class ListedRoot:
    """A folder whose files are known; `files` has them by their path below it."""

    def __init__(self, place: Path | str, files: Mapping[str, ImageSource] | None = None) -> None:
        self.place = place
        self._files = files

    @cached_property
    def files(self) -> Mapping[str, ImageSource]:
        """All files below the root; those behind a URI are listed when they are first asked for."""
        return list_place(str(self.place)) if self._files is None else self._files

    @cached_property
    def _stems(self) -> dict[str, list[str]]:
        return _by_stem(self.files)

    def locate(self, cell: str) -> tuple[str, ImageSource]:
        """Return (name below the root, file), as `Root.locate` does."""
        for spelled in _spellings(cell):
            inside = spelled.removeprefix(join_uri(str(self.place), "")) if is_uri(spelled) else spelled
            name = posixpath.normpath(inside)
            if is_uri(inside) or name.startswith(("/", "../")) or name == "..":
                raise _outside(cell, self.place)
            if name not in self.files:
                same = self._stems.get(name, [])
                name = _only(same, cell) if same else name
            if name in self.files:
                return name, self.files[name]
        raise PlaceError(MISSING, cell)


def _spellings(cell: str) -> list[str]:
    """Return the cell, and how a system without backslashes writes it."""
    return [cell] if "\\" not in cell or is_uri(cell) else [cell, cell.replace("\\", "/")]


def _by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    """Return path without suffix -> paths, of files with the suffix of an image."""
    stems: dict[str, list[str]] = {}
    for name in names:
        stem, suffix = posixpath.splitext(name)
        if suffix.lower() in SUFFIXES:
            stems.setdefault(stem, []).append(name)
    return stems


def _only(names: list[str], cell: str) -> str:
    if len(names) > 1:
        raise PlaceError(f"must have a suffix, since there are {' and '.join(names[:3])}", cell)
    return names[0]


def _outside(cell: str, root: Path | str) -> PlaceError:
    return PlaceError(f"must lie below {root}, or data.root must be a folder that holds it", cell)
