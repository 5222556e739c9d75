"""Files behind URIs (s3://, gs://, memory://, ...), read through fsspec."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
from fsspec.core import url_to_fs

from trainables.errors import DataError

__all__ = ["RemoteFile", "is_uri", "list_files", "local_or_uri", "parent_uri", "read_uri"]

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_STAMPS = ("ETag", "etag", "md5Hash", "checksum", "LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file behind a URI; `stamp` changes when its content does, as far as the file system tells."""

    uri: str
    stamp: str

    def __str__(self) -> str:
        return self.uri

    def read(self) -> bytes:
        """The whole file. Raises DataError naming it."""
        return read_uri(self.uri)


def is_uri(text: str) -> bool:
    """Whether `text` starts with a protocol such as s3://."""
    return _URI.match(text) is not None


def local_or_uri(text: str, base_dir: Path) -> Path | str:
    """A path (relative ones start at `base_dir`; file:// is one too), or a URI without its last slash."""
    if not is_uri(text):
        return base_dir / Path(text).expanduser()
    if text.lower().startswith("file://"):
        parts = urlsplit(text)
        return Path(unquote(parts.path if parts.netloc in ("", "localhost") else f"/{parts.netloc}{parts.path}"))
    return text.rstrip("/")


def parent_uri(uri: str) -> str:
    """The folder that holds `uri`."""
    protocol, _, path = uri.partition("://")
    return f"{protocol}://{path.rpartition('/')[0]}"


def read_uri(uri: str) -> bytes:
    """The whole file. Raises DataError for a missing file or driver, and whatever else the file system says."""
    filesystem, path = _filesystem(uri)
    try:
        content: bytes = filesystem.cat_file(path)
    except FileNotFoundError:
        raise DataError(f"{uri}: no such file") from None
    except Exception as error:  # each driver raises errors of its own
        raise DataError(f"{uri}: cannot be read: {_text(error)}") from None
    return content


def list_files(uri: str) -> dict[str, RemoteFile]:
    """Every file below the folder `uri`, by its path below it, sorted. Raises DataError where it cannot be listed."""
    filesystem, root = _filesystem(uri)
    try:
        found: dict[str, dict[str, Any]] = filesystem.find(root, detail=True)
    except FileNotFoundError:
        return {}
    except Exception as error:  # each driver raises errors of its own
        raise DataError(f"{uri}: cannot be listed: {_text(error)}") from None
    below = {path.removeprefix(root).lstrip("/"): info for path, info in found.items()}
    return {name: RemoteFile(uri=f"{uri}/{name}", stamp=_stamp(below[name])) for name in sorted(below) if name}


def _filesystem(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    protocol = uri.partition("://")[0]
    try:
        filesystem, path = url_to_fs(uri)
    except ImportError as error:
        raise DataError(f"{uri}: {protocol}:// needs a driver that is not installed: {_text(error)}") from None
    except ValueError as error:
        raise DataError(f"{uri}: cannot be opened: {_text(error)}") from None
    return filesystem, str(path).rstrip("/")


def _stamp(info: dict[str, Any]) -> str:
    return " ".join(str(info[key]) for key in ("size", *_STAMPS) if info.get(key) is not None)


def _text(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
