"""Listing of a folder of this machine, once for all that look into it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LocalFolder", "is_hidden", "list_local"]

_RESOURCE_FORKS = "__MACOSX"


@dataclass(frozen=True, kw_only=True)
class LocalFolder:
    """Files below a folder.

    Attributes:
        files: path below the folder -> visible file, sorted by path.
        folders: names of the folder's own visible folders.
        hidden: paths of hidden files and folders.
    """

    files: Mapping[str, Path]
    folders: Collection[str]
    hidden: Sequence[str]


def list_local(root: Path) -> LocalFolder:
    """List a folder to any depth; links are followed, but of each of the root's own folders a folder is entered once.

    Raises:
        OSError: a folder cannot be read.
    """
    files: dict[str, Path] = {}
    folders: set[str] = set()
    hidden: list[str] = []
    with os.scandir(root) as entries:
        own = sorted((entry.name, entry.is_dir()) for entry in entries)
    for name, is_folder in own:
        if is_hidden(name):
            hidden.append(name)
        elif is_folder:
            folders.add(name)
            files.update(_below(root, name, hidden))
        else:
            files[name] = root / name
    return LocalFolder(files=dict(sorted(files.items())), folders=folders, hidden=hidden)


def is_hidden(name: str) -> bool:
    """Return if a file or folder is left out by its name."""
    return name.startswith(".") or name == _RESOURCE_FORKS


def _below(root: Path, folder: str, hidden: list[str]) -> Iterator[tuple[str, Path]]:
    """Yield the visible files below a folder, by their path below the root."""
    entered: set[str] = set()
    for parent, folders, names in os.walk(root / folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(parent)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        place = Path(parent).relative_to(root).as_posix()
        hidden += [f"{place}/{name}" for name in (*folders, *names) if is_hidden(name)]
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from ((f"{place}/{name}", Path(parent, name)) for name in names if not is_hidden(name))


def _raise(error: OSError) -> None:
    raise error
