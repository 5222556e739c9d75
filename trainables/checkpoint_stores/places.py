"""Places of stored files as text: a local path, or a URI such as `s3://bucket/folder`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from search_spaces.documents import expand_user

__all__ = ["is_remote", "join_place", "mask_place", "name_of_place", "parent_place", "read_place"]

_LOCAL: Final = frozenset({"file", "local"})
_WITH_USER: Final = frozenset({"abfs", "abfss", "ftp", "hdfs", "sftp", "smb", "ssh", "webdav", "webdavs"})
"""Protocols whose URIs name a user, or a container in the place of one."""
_PROTOCOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_SECRETS: Final = re.compile(r"(?<=://)[^/@]*@|[?#].*", re.DOTALL)


def is_remote(place: str) -> bool:
    """Return whether a place is a URI."""
    return "://" in place


def join_place(place: str, *names: str) -> str:
    """Return a place inside another."""
    return "/".join([place.rstrip("/"), *names])


def parent_place(place: str) -> str:
    """Return the folder that a file or folder lies in."""
    return place.rstrip("/").rpartition("/")[0]


def name_of_place(place: str) -> str:
    """Return the last name of a place."""
    return place.rstrip("/").rpartition("/")[2]


def mask_place(place: str) -> str:
    """Return a URI without user, password and query, so that it can be shown."""
    return _SECRETS.sub(lambda match: "...@" if match[0].endswith("@") else "?...", place)


def read_place(text: str, base: Path) -> str:
    """Return the place that a user named: an absolute path for a local folder, else a URI without a slash at its end.

    base: folder at which a relative path begins.

    Raises:
        ValueError: the text names no folder, or holds credentials; the message is the rule that it breaks.
    """
    if "://" not in text:
        if not text.strip():
            raise ValueError("must be a folder or a URI such as s3://BUCKET/FOLDER")
        return str(base / expand_user(text))
    protocol, _, rest = text.partition("://")
    if "::" in text or _PROTOCOL.fullmatch(protocol) is None:
        raise ValueError("must be a folder or one URI such as s3://BUCKET/FOLDER, not a chain of file systems")
    try:
        parts = urlsplit(text)
        has_password = parts.password is not None
    except ValueError:
        raise ValueError("must be a URI such as s3://BUCKET/FOLDER") from None
    if has_password or (parts.username is not None and protocol.lower() not in _WITH_USER):
        raise ValueError(
            "must hold no credentials; give them by the environment variables or the files that the driver of "
            f"{protocol}:// reads, or by fsspec's own (FSSPEC_{protocol.upper()}_..., ~/.config/fsspec)"
        )
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError(
            "must have no ? and no #; options and tokens stand in fsspec's variables "
            f"(FSSPEC_{protocol.upper()}_...) or in ~/.config/fsspec"
        )
    if protocol.lower() in _LOCAL:
        if parts.netloc not in ("", "localhost") or not parts.path.strip("/"):
            raise ValueError("must have three slashes and a folder, as in file:///mnt/checkpoints")
        return unquote(parts.path).rstrip("/")
    if not rest.strip("/"):
        raise ValueError("must name a bucket, a host or a folder after ://")
    return text.rstrip("/")
