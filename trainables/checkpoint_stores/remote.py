"""The store behind a URI, through fsspec. Errors that may pass are tried again for about half a minute."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import fsspec
from fsspec.core import url_to_fs
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential

from trainables.checkpoint_stores.base import CheckpointStore, StoredFile
from trainables.checkpoint_stores.places import join_place, parent_place
from trainables.errors import CheckpointError, StoreError

__all__ = ["RemoteStore"]

T = TypeVar("T")

_MOST_TRIES: Final = 5
_MOST_SECONDS: Final = 30.0
"""Time after which no further try begins."""
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 8.0

_LASTING_KINDS: Final = (
    *(FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError),
    *(ImportError, NotImplementedError, TypeError, ValueError, MemoryError),
)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_SIGNS: Final = re.compile(r"no space left|quota|insufficient ?storage|storage ?full|\b507\b", re.IGNORECASE)
_WITHOUT_RIGHTS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_RIGHTS_SIGNS: Final = re.compile(
    r"credentials|access ?denied|forbidden|unauthori[sz]ed|authentication failed|\b40[13]\b|read-only", re.IGNORECASE
)
_BUCKETS: Final = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "obs", "oci", "r2", "memory"}
)
"""Protocols without folders, whose driver would make a bucket in the place of a folder."""
_ERRNO: Final = re.compile(r"^\[Errno -?\d+\] ")


class RemoteStore(CheckpointStore):
    """Files of the file system that a URI names; a file is named to others only once all of it is there.

    root: any place of the store; errors name it. Options of the file system come from fsspec's configuration.

    Raises:
        StoreError: the protocol's driver is not installed, or does not understand the URI.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        try:
            self._filesystem: fsspec.AbstractFileSystem = url_to_fs(root)[0]
        except ImportError as error:
            raise StoreError(
                f"the checkpoint store {self._root} needs a package that is not installed: {_text(error)}"
            ) from None
        except Exception as error:  # each driver raises errors of its own
            raise self._refusal("opened", error) from None

    def write(self, folder: str, name: str, content: bytes) -> str:
        """Write a file, and see that it has its size; see `CheckpointStore`."""
        location = join_place(folder, name)
        self._call("written", self._upload, self._path(location), content)
        return location

    def read(self, location: str) -> bytes:
        """Return a file's content; see `CheckpointStore`."""
        try:
            content: bytes = self._call("read", self._filesystem.cat_file, self._path(location))
        except FileNotFoundError:
            raise CheckpointError(f"checkpoint {location} cannot be read: no such file") from None
        return content

    def exists(self, location: str) -> bool:
        """Return whether there is such a file."""
        self._filesystem.invalidate_cache()  # another process may have changed what a listing of this one showed
        try:
            self._call("read", self._filesystem.info, self._path(location))
        except FileNotFoundError:
            return False
        return True

    def delete(self, location: str) -> None:
        """Delete a file, if it is there."""
        try:
            self._call("changed", self._filesystem.rm_file, self._path(location))
        except FileNotFoundError:
            return

    def files(self, folder: str) -> Iterator[StoredFile]:
        """Yield the files; see `CheckpointStore`."""
        path = self._path(folder)
        self._filesystem.invalidate_cache()
        try:
            listed = self._call("listed", self._filesystem.find, path, detail=True)
        except FileNotFoundError:
            return
        for name, about in listed.items():
            location = join_place(folder, str(name).removeprefix(path).lstrip("/"))
            yield StoredFile(location=location, size=int(about.get("size") or 0))

    def remove(self, folder: str) -> None:
        """Delete a folder with all that is in it."""
        self._filesystem.invalidate_cache()
        try:
            self._call("removed", self._filesystem.rm, self._path(folder), recursive=True)
        except FileNotFoundError:
            return

    def _upload(self, path: str, content: bytes) -> None:
        try:
            self._filesystem.pipe_file(path, content)
        except FileNotFoundError:
            if self._root.partition("://")[0].lower() in _BUCKETS:
                raise
            self._filesystem.makedirs(parent_place(path), exist_ok=True)
            self._filesystem.pipe_file(path, content)
        self._filesystem.invalidate_cache()
        size = self._filesystem.info(path)["size"]
        if size != len(content):
            raise OSError(errno.EIO, f"{size} of {len(content)} bytes arrived")

    def _path(self, location: str) -> str:
        return str(url_to_fs(location)[1]).rstrip("/")

    def _call(self, action: str, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call a function of the file system, again if its error may pass.

        Raises:
            FileNotFoundError: there is no such file or folder, and none was to be written.
        """
        tries = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(_MOST_TRIES) | stop_after_delay(_MOST_SECONDS),
            wait=wait_random_exponential(multiplier=_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS),
            reraise=True,
        )
        try:
            result: T = tries(function, *arguments, **named)
        except FileNotFoundError as error:
            if action != "written":
                raise
            raise StoreError(
                f"the checkpoint store {self._root} does not exist: {_text(error)}; make it first, or correct --store"
            ) from None
        except Exception as error:  # each driver raises errors of its own
            raise self._refusal(action, error) from None
        return result

    def _refusal(self, action: str, error: Exception) -> StoreError:
        text, number = _text(error), getattr(error, "errno", None)
        if number in _FULL or _FULL_SIGNS.search(text):
            return StoreError(f"the checkpoint store {self._root} cannot be {action}: no space left ({text})")
        if isinstance(error, PermissionError) or number in _WITHOUT_RIGHTS or _RIGHTS_SIGNS.search(text):
            return StoreError(
                f"the checkpoint store {self._root} cannot be {action}: no rights ({text}); give every machine "
                "credentials by environment variables or by files of the driver"
            )
        return StoreError(f"the checkpoint store {self._root} cannot be {action}: {text}")


def _may_pass(error: BaseException) -> bool:
    if not isinstance(error, Exception) or isinstance(error, _LASTING_KINDS):
        return False
    number = getattr(error, "errno", None)
    return number not in _FULL | _WITHOUT_RIGHTS and "Credentials" not in type(error).__name__


def _text(error: Exception) -> str:
    lines = _ERRNO.sub("", str(error)).splitlines()
    return lines[0] if lines and lines[0] else type(error).__name__
