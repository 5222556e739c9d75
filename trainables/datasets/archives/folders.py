"""Sources that are archives: a zip or tar file, several of them, or a folder inside one."""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from search_spaces.errors import show
from trainables.datasets.archives.members import ArchiveMember, open_archive
from trainables.datasets.archives.unpacked import TemporaryFiles, UnpackedFiles
from trainables.datasets.files import (
    RemoteFile,
    join_uri,
    list_files,
    look_up,
    name_of,
    parent_uri,
    read_uri,
    resolve_location,
    split_uri,
)
from trainables.datasets.images import SUFFIXES
from trainables.errors import DataError

__all__ = [
    "ARCHIVE_SUFFIXES",
    "ArchiveFolder",
    "is_archive",
    "is_inside",
    "list_place",
    "look_up_place",
    "open_archives",
    "read_place",
]

ARCHIVE_SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""Ends of the names of archives; their content tells their kind."""

_OTHERS: Final = (*SUFFIXES, ".parquet")
_RANGE: Final = re.compile(r"\{(\d+)\.\.(\d+)\}")
_LIST: Final = re.compile(r"\{([^{}]*,[^{}]*)\}")
_WILDCARD: Final = re.compile(r"[*?\[]")
_SHOWN: Final = 3
_NOT_INSIDE: Final = "beside the archives"

File = Path | RemoteFile


@dataclass(frozen=True, kw_only=True)
class ArchiveFolder:
    """Files of one archive, or of several, each of which stands for a folder of its name.

    Attributes:
        place: the source, for messages.
        folder: path or URI of the folder that holds the archives.
        archives: names of the archives, without suffixes; paths below `folder` if they lie deeper.
        files: path -> member; of several archives, below the archive's name.
        left_out: (reason, path) of members that are no files or have no safe path, and of files beside the archives.
        where: text such as `in photos.zip` or `in 4 archives`, for `ImageTable.layout`.
    """

    place: Path | str
    folder: Path | str
    archives: tuple[str, ...]
    files: Mapping[str, ArchiveMember]
    left_out: tuple[tuple[str, str], ...]
    where: str

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.archives[0] if len(self.archives) == 1 else name_of(self.folder)

    def find_beside(self, name: str) -> File | None:
        """Return the file of this name in the folder of the archives; None if there is none."""
        if isinstance(self.folder, str):
            return look_up(join_uri(self.folder, name))
        file = self.folder / name
        return file if file.is_file() else None


def is_archive(place: Path | str) -> bool:
    """Return if a path or URI is named like an archive, like several by a pattern, or lies inside one."""
    if isinstance(place, Path):
        return _has_suffix(place.name) and not place.is_dir()
    return is_inside(place) or _has_suffix(split_uri(place)[1])


def open_archives(
    place: Path | str, unpacked: UnpackedFiles, listed: Mapping[str, RemoteFile] | None = None
) -> ArchiveFolder | None:
    """Return the archives at a path or URI; None if there are none.

    A source of archives is an archive; several by a pattern such as `train-{000..127}.tar` or `train-*.tar`; a folder
    that holds archives, but neither images nor Parquet files; or a folder inside an archive, `zip://photos::x.zip`.

    Args:
        place: path or URI.
        unpacked: place for local copies of archives that cannot be read in place.
        listed: the files below a URI of a folder.

    Raises:
        DataError: an archive is missing, damaged or encrypted.
        OSError: a file of this machine cannot be read.
    """
    if isinstance(place, str) and is_inside(place):
        return _open_inside(place, unpacked)
    if is_archive(place):
        files = _expand(place) if _is_pattern(place) else {name_of(place): place}
        parent = parent_uri(place) if isinstance(place, str) else place.parent
        folder = parent if len(files) == 1 else _folder_of(list(files.values()))
        return _join(place, folder, _existing(files, place), (), unpacked)
    below = _files_below(place) if isinstance(place, Path) else listed or {}
    archives = {name: file for name, file in below.items() if _has_suffix(name)}
    if not archives or any(name.lower().endswith(_OTHERS) for name in below):
        return None
    beside = tuple((_NOT_INSIDE, name) for name in below if name not in archives)
    return _join(place, place, archives, beside, unpacked)


def list_place(uri: str) -> Mapping[str, RemoteFile | ArchiveMember]:
    """Return every file below a URI by its path below it, sorted; of a folder inside an archive, its members."""
    return _open_inside(uri, TemporaryFiles()).files if is_inside(uri) else list_files(uri)


def look_up_place(uri: str) -> RemoteFile | ArchiveMember | None:
    """Return the file at a URI, unread, or the member of an archive; None if there is none."""
    if not is_inside(uri):
        return look_up(uri)
    _, inner, after = split_uri(uri)
    outer = resolve_location(after.removeprefix("::"), Path())
    return open_archive(_existing({"": outer}, outer)[""], TemporaryFiles()).files.get(inner)


def read_place(uri: str) -> bytes:
    """Return the content of the file at a URI, or of the member of an archive; raise DataError if there is none."""
    if not is_inside(uri):
        return read_uri(uri)
    member = look_up_place(uri)
    if member is None:
        raise DataError(f"{uri}: no such file")
    return member.read()


def _has_suffix(name: str) -> bool:
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def is_inside(uri: str) -> bool:
    """Return if a URI names a place in an archive, such as `zip://photos::x.zip`."""
    before, _, after = split_uri(uri)
    return before.lower() in ("zip://", "tar://") and after.startswith("::")


def _open_inside(uri: str, unpacked: UnpackedFiles) -> ArchiveFolder:
    _, inner, after = split_uri(uri)
    outer = resolve_location(after.removeprefix("::"), Path())
    archive = open_archive(_existing({"": outer}, outer)[""], unpacked)
    start = f"{inner}/" if inner else ""
    files = {name.removeprefix(start): file for name, file in archive.files.items() if name.startswith(start)}
    if archive.files and not files:
        folders = sorted({name.partition("/")[0] for name in archive.files if "/" in name})
        shown = ", ".join(map(show, folders[:_SHOWN])) + (", ..." if len(folders) > _SHOWN else "")
        raise DataError(f"data.source: {outer} must have the folder {show(inner)} (it has {shown or 'no folders'})")
    left_out = tuple(pair for pair in archive.left_out if pair[1].startswith(start))
    folder = parent_uri(outer) if isinstance(outer, str) else outer.parent
    name = _stem(inner.rpartition("/")[2] or name_of(outer))
    where = f"in {inner} of {name_of(outer)}" if inner else f"in {name_of(outer)}"
    return ArchiveFolder(place=uri, folder=folder, archives=(name,), files=files, left_out=left_out, where=where)


def _join(
    place: Path | str,
    folder: Path | str,
    files: Mapping[str, File],
    beside: tuple[tuple[str, str], ...],
    unpacked: UnpackedFiles,
) -> ArchiveFolder:
    stems = [_stem(name) for name in files]
    names = stems if len(set(stems)) == len(stems) else list(files)
    members: dict[str, ArchiveMember] = {}
    left_out = list(beside)
    for name, file in zip(names, files.values(), strict=True):
        archive = open_archive(file, unpacked)
        start = "" if len(names) == 1 else f"{name}/"
        members |= {f"{start}{path}": member for path, member in archive.files.items()}
        left_out += [(reason, f"{start}{path}") for reason, path in archive.left_out]
    where = f"in {name_of(place)}" if len(names) == 1 else f"in {len(names):,} archives"
    return ArchiveFolder(
        place=place, folder=folder, archives=tuple(names), files=members, left_out=tuple(left_out), where=where
    )


def _stem(name: str) -> str:
    ends = (suffix for suffix in sorted(ARCHIVE_SUFFIXES, key=len, reverse=True) if name.lower().endswith(suffix))
    return name[: -len(next(ends, "")) or None]


def _existing(files: Mapping[str, Path | str], place: Path | str) -> dict[str, File]:
    """Return the files at paths and URIs; raise DataError if one is missing."""
    at = {name: look_up(file) if isinstance(file, str) else file for name, file in files.items()}
    existing = {name: file for name, file in at.items() if file is not None and _is_there(file)}
    missing = [str(files[name]) for name in files if name not in existing]
    if missing:
        more = f" ({len(missing):,} of {len(files):,} files of {place} are missing)" if len(files) > 1 else ""
        raise DataError(f"data.source: no such file: {missing[0]}{more}")
    return existing


def _is_there(file: File) -> bool:
    return isinstance(file, RemoteFile) or file.exists()


def _files_below(folder: Path) -> dict[str, Path]:
    """Return the visible files below a folder, sorted; only some if an image or Parquet file is among them."""
    files: dict[str, Path] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(name for name in names if not name.startswith(".")):
            file = Path(parent, name)
            files[file.relative_to(folder).as_posix()] = file
            if name.lower().endswith(_OTHERS):
                return files
    return dict(sorted(files.items()))


def _is_pattern(place: Path | str) -> bool:
    path = place.name if isinstance(place, Path) else split_uri(place)[1]
    whole = str(place) if isinstance(place, Path) else path
    is_there = isinstance(place, Path) and place.exists()
    return not is_there and bool(_WILDCARD.search(path) or _RANGE.search(whole) or _LIST.search(whole))


def _expand(place: Path | str) -> dict[str, Path | str]:
    """Return the files of a pattern, by their paths below the folder that holds them all."""
    before, path, after = split_uri(place) if isinstance(place, str) else ("", str(place), "")
    places = [match for expanded in _expand_braces(path) for match in _match(before, expanded, after)]
    files = [Path(file) if isinstance(place, Path) else f"{before}{file}{after}" for file in places]
    folder = str(_folder_of(files))
    start = len(split_uri(folder)[1] if before else folder)
    return {name[start:].lstrip("/"): file for name, file in zip(places, files, strict=True)}


def _expand_braces(pattern: str) -> Iterator[str]:
    """Yield the texts of `{0007..0042}`, numbers as wide as the first, and of `{a,b}`."""
    match = _RANGE.search(pattern)
    if match:
        first, last = match.groups()
        choices = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    else:
        match = _LIST.search(pattern)
        choices = match.group(1).split(",") if match else []
    if not match:
        yield pattern
    for choice in choices:
        assert match is not None
        yield from _expand_braces(f"{pattern[: match.start()]}{choice}{pattern[match.end() :]}")


def _match(before: str, path: str, after: str) -> list[str]:
    """Return the paths that match the wildcards of a file's name; the path itself if it has none."""
    folder, _, pattern = path.rpartition("/")
    if not _WILDCARD.search(pattern):
        return [path]
    there = f"{before}{folder}{after}"
    names = [file.name for file in _entries(Path(there))] if not before else list(list_files(there))
    matching = sorted(fnmatch.filter((name for name in names if "/" not in name), pattern))
    if not matching:
        raise DataError(f"data.source: no such file: {before}{path}{after}")
    return [f"{folder}/{name}" for name in matching]


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _folder_of(files: list[Path | str]) -> Path | str:
    """Return the deepest folder that holds all files."""
    first = files[0]
    if isinstance(first, Path):
        return Path(os.path.commonpath([Path(file).parent for file in files]))
    before, _, after = split_uri(first)
    return f"{before}{posixpath.commonpath([split_uri(parent_uri(str(file)))[1] for file in files])}{after}"
