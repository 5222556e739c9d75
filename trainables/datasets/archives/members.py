"""Members of zip and tar files, each read at its place; nothing is written under a member's name."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import posixpath
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final, cast

from trainables.datasets.archives.unpacked import UnpackedFiles
from trainables.datasets.files import RemoteFile, file_stamp, open_uri
from trainables.errors import DataError

__all__ = ["Archive", "ArchiveMember", "open_archive"]

_MOST_BYTES: Final = 2**30
_OUTSIDE: Final = "with a path that leads out of the archive"
_LINK: Final = "a link to no file of the archive"
_SPECIAL: Final = "neither a file nor a link"
_ZIP: Final = b"PK\3\4"
_ENCRYPTED: Final = 1
_MOST_LINKS: Final = 40
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_OPENERS: Final[Mapping[bytes, Callable[[BinaryIO], BinaryIO]]] = MappingProxyType(
    {
        b"\x1f\x8b": lambda stream: cast(BinaryIO, gzip.GzipFile(fileobj=stream)),
        b"BZh": lambda stream: cast(BinaryIO, bz2.BZ2File(stream)),
        b"\xfd7zXZ\x00": lambda stream: cast(BinaryIO, lzma.LZMAFile(stream)),  # noqa: SIM115 - closed with the stream
    }
)
_LONGEST_START: Final = max(map(len, _OPENERS))
_DAMAGED: Final = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)
"""Errors of the readers of archives, for damaged or unusual ones."""


@dataclass(frozen=True, kw_only=True)
class ArchiveMember:
    """A file in an archive.

    Attributes:
        label: archive and member, for messages.
        stamp: text that changes with the archive and names the member.
        size: bytes.
    """

    label: str
    stamp: str
    size: int
    fetch: Callable[[], bytes] = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.label

    def read(self) -> bytes:
        """Return the content; raise DataError if it cannot be read, or is larger than 1 GiB."""
        if self.size > _MOST_BYTES:
            raise DataError(f"{self.label}: must have at most 1 GiB ({self.size / 2**30:.1f} GiB)")
        try:
            return self.fetch()
        except _DAMAGED as error:
            raise DataError(f"{self.label}: cannot be read: {error or type(error).__name__}") from None


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Files of an archive by their paths, sorted; left_out: (reason, path) of the others."""

    files: Mapping[str, ArchiveMember]
    left_out: tuple[tuple[str, str], ...]


def open_archive(place: Path | RemoteFile, unpacked: UnpackedFiles) -> Archive:
    """List the files of a zip or tar file, whose content tells which of them it is.

    Zip files and plain tar files of this machine are read in place. Others, compressed with gzip, bzip2 or xz or behind
    a URI, are unpacked or copied to one local file before.

    Raises:
        DataError: not a whole archive, or an encrypted one.
        OSError: a local file cannot be opened.
    """
    try:
        stamp = file_stamp(place)
        path = _local_file(place, stamp, unpacked)
        read = _read_zip if _is_zip(path) else _read_tar
        entries, left_out = dict[str, _Entry](), list[tuple[str, str]]()
        for name, entry in read(path, unpacked):
            if isinstance(entry, str):
                left_out.append((entry, name))
            else:
                entries[name] = entry  # the last of several with one name, as if they were unpacked
    except FileNotFoundError:
        raise DataError(f"data.source: no such file: {place}") from None
    except PermissionError:
        raise
    except _DAMAGED as error:
        raise DataError(f"data.source: {place} must be a whole zip or tar file ({error or 'it is empty'})") from None
    name = place.name if isinstance(place, Path) else place.uri
    files = {
        path: ArchiveMember(
            label=f"{name}: {path}", stamp=f"{stamp} {path} {entry.mark}", size=entry.size, fetch=entry.fetch
        )
        for path, entry in sorted(entries.items())
    }
    return Archive(files=files, left_out=tuple(left_out))


@dataclass(frozen=True, kw_only=True)
class _Entry:
    mark: str
    size: int
    fetch: Callable[[], bytes]


_Entries = Iterator[tuple[str, _Entry | str]]
"""(path, entry), or (path, reason for which it is left out)."""


def _local_file(place: Path | RemoteFile, stamp: str, unpacked: UnpackedFiles) -> Path:
    with place.open("rb") if isinstance(place, Path) else open_uri(place.uri) as stream:
        start = stream.read(_LONGEST_START)
        stream.seek(0)
        opener = next((opener for first, opener in _OPENERS.items() if start.startswith(first)), None)
        if opener is None and isinstance(place, Path):
            return place

        def write(target: BinaryIO) -> None:
            shutil.copyfileobj(stream if opener is None else opener(stream), target, 2**20)

        return unpacked.keep(str(place), stamp, write)


def _is_zip(path: Path) -> bool:
    if zipfile.is_zipfile(path):
        return True
    with path.open("rb") as file:
        if file.read(len(_ZIP)) == _ZIP:
            raise EOFError("its end, which lists its files, is missing")
    return False


def _read_zip(path: Path, _: UnpackedFiles) -> _Entries:
    archive = zipfile.ZipFile(path)
    for info in archive.infolist():
        name, kind = _clean(info.filename.replace("\\", "/")), stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            continue
        if info.flag_bits & _ENCRYPTED:
            raise ValueError("it is encrypted: unpack it with its password, and name the folder")
        if name is None:
            yield info.filename, _OUTSIDE
        elif stat.S_ISLNK(kind):
            yield name, _LINK
        else:
            yield name, _Entry(mark=f"{info.CRC:08x}", size=info.file_size, fetch=partial(archive.read, info))


def _read_tar(path: Path, unpacked: UnpackedFiles) -> _Entries:
    places: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    end = 0
    with tarfile.open(path, mode="r:") as archive:
        for info in archive:
            name = _clean(info.name)
            end = info.offset_data + (0 if info.issparse() else -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
            if info.isdir():
                continue
            if name is None:
                yield info.name, _OUTSIDE
            elif info.isreg() and not info.issparse():
                places[name] = info.offset_data, info.size
            elif info.issym() or info.islnk():
                start = posixpath.dirname(name) if info.issym() else ""
                links[name] = _clean(posixpath.join(start, info.linkname)) or ""
            else:
                yield name, _SPECIAL
    if path.stat().st_size < end + tarfile.BLOCKSIZE:  # a cut between two members is no error to tarfile
        raise EOFError("it ends without the empty block that ends a whole one")
    for name, target in links.items():
        last = _follow(target, links)
        if last in places:
            places[name] = places[last]
        else:
            yield name, _LINK
    file = _TarFile(path, unpacked)
    for name, (offset, size) in places.items():
        yield name, _Entry(mark=f"{offset} {size}", size=size, fetch=partial(file.read, offset, size))


class _TarFile:
    """A plain tar file. It is opened for each read, since a set may have more shards than a process may open files."""

    def __init__(self, path: Path, unpacked: UnpackedFiles) -> None:
        self._path = path
        self._unpacked = unpacked  # keeps a temporary file

    def read(self, offset: int, size: int) -> bytes:
        with self._path.open("rb", buffering=0) as file:
            content = os.pread(file.fileno(), size, offset)
        if len(content) < size:
            raise EOFError("the archive ends early")
        return content


def _follow(target: str, links: Mapping[str, str]) -> str:
    for _ in range(_MOST_LINKS):
        target = links.get(target, target)
    return target


def _clean(name: str) -> str | None:
    """Return a member's path without `.` and doubled slashes; None if it is absolute or leads out of the archive."""
    path = posixpath.normpath(name)
    if path.startswith(("/", "../")) or path == ".." or _DRIVE.match(path):
        return None
    return path
