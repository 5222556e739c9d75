"""Files behind URIs (s3://, gs://, memory://, ...), read through fsspec."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import fsspec
from fsspec.core import url_to_fs

from search_spaces.documents import expand_user
from trainables.errors import DataError

__all__ = [
    "RemoteFile",
    "file_stamp",
    "is_uri",
    "join_uri",
    "list_files",
    "look_up",
    "name_of",
    "open_uri",
    "parent_uri",
    "read_uri",
    "resolve_location",
    "split_uri",
]

_URI = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*::)*[A-Za-z][A-Za-z0-9+.-]*://")
_EVERYTHING = re.compile(r"(^|/)[*/]*$")
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
_INSIDE = ("zip", "tar")
_STAMPS = ("ETag", "etag", "md5Hash", "checksum", "LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file behind a URI.

    Attributes:
        uri: the file's URI.
        stamp: size, times and checksums as the file system gives them; it changes with the content.
    """

    uri: str
    stamp: str

    def __str__(self) -> str:
        return self.uri

    def read(self) -> bytes:
        """Return the file's content; raise DataError if it cannot be read."""
        return read_uri(self.uri)


def is_uri(text: str) -> bool:
    """Return True if `text` starts with a protocol such as s3://."""
    return "://" in text and _URI.match(text) is not None


def resolve_location(text: str, base_dir: Path) -> Path | str:
    """Return `text` as a path (also for file://, relative to `base_dir`), or as a URI without its last slash or `/*`.

    A path at the end of a chain, such as `zip://photos::x.zip`, is relative to `base_dir` too.
    """
    if not is_uri(text):
        return base_dir / expand_user(text)
    before, path, after = split_uri(text)
    if before.lower() == "file://" and not after:
        parts = urlsplit(text)
        return Path(unquote(parts.path if parts.netloc in ("", "localhost") else f"/{parts.netloc}{parts.path}"))
    chain, _, last = after.rpartition("::")
    if last and not is_uri(last):
        after = f"{chain}::{(base_dir / expand_user(last)).absolute()}"
    return f"{before}{_EVERYTHING.sub('', path)}{after}"


def split_uri(uri: str) -> tuple[str, str, str]:
    """Return (before, path, after) of a URI, whose path is that of the first protocol in a chain that has one.

    For example, ("s3://", "bucket/photos", "") and ("zip://", "photos", "::file:///data/x.zip").
    """
    match = _URI.match(uri)
    before = match.group() if match else ""
    path, mark, after = uri[len(before) :].partition("::")
    return before, path, mark + after


def join_uri(uri: str, name: str) -> str:
    """Return the URI of the file `name` below the folder `uri`."""
    before, path, after = split_uri(uri)
    return f"{before}{path.rstrip('/')}/{name}{after}" if path else f"{before}{name}{after}"


def parent_uri(uri: str) -> str:
    """Return the URI of the folder that holds `uri`."""
    before, path, after = split_uri(uri)
    return f"{before}{path.rpartition('/')[0]}{after}"


def name_of(place: Path | str) -> str:
    """Return the name of a file or folder at a path or URI; of the root of an archive, that of the archive."""
    if isinstance(place, Path):
        return place.resolve().name
    before, path, after = split_uri(place)
    return path.rpartition("/")[2] or after.rpartition("/")[2] or before.partition(":")[0]


def read_uri(uri: str) -> bytes:
    """Return the file's content; raise DataError for a missing file or driver, and for any error of the file system."""
    filesystem, path = _filesystem(uri)
    try:
        content: bytes = filesystem.cat_file(path)
    except FileNotFoundError:
        raise DataError(f"{uri}: no such file") from None
    except Exception as error:  # each driver raises errors of its own
        raise DataError(f"{uri}: cannot be read: {_text(error)}") from None
    return content


def list_files(uri: str) -> dict[str, RemoteFile]:
    """Return every file below the folder `uri`, by its path below it, sorted; raise DataError if listing fails."""
    filesystem, root = _filesystem(uri)
    try:
        details: dict[str, dict[str, Any]] = filesystem.find(root, detail=True)
    except FileNotFoundError:
        return {}
    except Exception as error:  # each driver raises errors of its own
        raise DataError(f"{uri}: cannot be listed: {_text(error)}") from None
    below = {path.removeprefix(root).lstrip("/"): info for path, info in details.items()}
    return {name: RemoteFile(uri=join_uri(uri, name), stamp=_stamp(below[name])) for name in sorted(below) if name}


@contextmanager
def open_uri(uri: str) -> Iterator[BinaryIO]:
    """Open the file at a URI for reading at any place, in a `with` block.

    Raises:
        DataError: the file cannot be opened.
    """
    filesystem, path = _filesystem(uri)
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(filesystem.open(path, "rb"))
        except FileNotFoundError:
            raise DataError(f"{uri}: no such file") from None
        except Exception as error:  # each driver raises errors of its own
            raise DataError(f"{uri}: cannot be read: {_text(error)}") from None
        yield stream


def look_up(uri: str) -> RemoteFile | None:
    """Return the file at a URI, unread; None if there is none. Raise DataError if the file system refuses."""
    filesystem, path = _filesystem(uri)
    try:
        details: dict[str, Any] = filesystem.info(path)
    except FileNotFoundError:
        return None
    except Exception as error:  # each driver raises errors of its own
        raise DataError(f"{uri}: cannot be read: {_text(error)}") from None
    return RemoteFile(uri=uri, stamp=_stamp(details)) if details.get("type") == "file" else None


def file_stamp(file: Path | RemoteFile) -> str:
    """Return text that changes with a file: its place, size and time. Raise OSError if a local file is missing."""
    if isinstance(file, RemoteFile):
        return f"{file.uri} {file.stamp}"
    status = file.stat()
    return f"{file.absolute()} {status.st_size} {status.st_mtime_ns}"


def _filesystem(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    protocol = uri.partition("://")[0]
    if protocol in _INSIDE and "::" not in uri:
        raise DataError(f"{uri}: must name the archive too, as in {protocol}://FOLDER::PATH, or be its path alone")
    try:
        filesystem, path = url_to_fs(uri)
    except ImportError as error:
        raise DataError(f"{uri}: {protocol}:// needs a driver that is not installed: {_text(error)}") from None
    except FileNotFoundError:
        raise DataError(f"{uri}: no such file") from None
    except Exception as error:  # each driver raises errors of its own
        raise DataError(f"{uri}: cannot be opened: {_text(error)}") from None
    return filesystem, str(path).rstrip("/")


def _stamp(info: dict[str, Any]) -> str:
    return " ".join(str(info[key]) for key in ("size", *_STAMPS) if info.get(key) is not None)


def _text(error: Exception) -> str:
    lines = _ERRNO.sub("", str(error)).splitlines()
    return lines[0] if lines else type(error).__name__
