"""Local files of sources that cannot be read in place: archives behind URIs, and compressed ones."""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from trainables.errors import DataError

__all__ = ["CONTENT", "TemporaryFiles", "UnpackedFiles", "content_key", "no_room"]

CONTENT = "content"
"""Name of the unpacked file in its folder."""

Write = Callable[[BinaryIO], None]


class UnpackedFiles(Protocol):
    """A place for unpacked files. Each is written once, and found again by a text that changes with its source."""

    def keep(self, name: str, stamp: str, write: Write) -> Path:
        """Return the local file of a source, which `write` fills if it is not there yet.

        Args:
            name: name of the source, for people.
            stamp: text that changes with the source.
            write: writes the content.

        Raises:
            DataError: the source cannot be read, or there is no room.
        """
        ...


class TemporaryFiles:
    """Unpacked files in a temporary folder, which goes with this object."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def keep(self, name: str, stamp: str, write: Write) -> Path:
        """Return the local file, as `UnpackedFiles.keep` does."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="meltpoint-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        target = self._folder / content_key(stamp)
        if not target.exists():
            try:
                with target.open("wb") as stream:
                    write(stream)
            except BaseException as error:
                target.unlink(missing_ok=True)
                if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                    raise no_room(name, target.parent) from None
                raise
        return target


def content_key(stamp: str) -> str:
    """Return 16 hex digits that name the content of a source by its stamp."""
    return hashlib.sha256(stamp.encode(errors="surrogateescape")).hexdigest()[:16]


def no_room(name: str, folder: Path) -> DataError:
    """Return the error of a disk that is too small for a source's content."""
    return DataError(f"data.source: {name} is unpacked below {folder}, which has too little room: make room there")
