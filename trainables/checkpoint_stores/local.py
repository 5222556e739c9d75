"""The store that is a folder on this machine's disk, or on one that is mounted."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from trainables.checkpoint_stores.base import CheckpointStore, StoredFile
from trainables.errors import CheckpointError, StoreError

__all__ = ["LocalStore"]


class LocalStore(CheckpointStore):
    """Writes under a temporary name, then renames; a file appears whole under its name, or not at all."""

    def write(self, folder: str, name: str, content: bytes) -> str:
        """Write a file and flush it to the disk; see `CheckpointStore`."""
        path = Path(folder, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, content)
        except OSError as error:
            raise _refusal(folder, "written", error) from error
        return str(path)

    def read(self, location: str) -> bytes:
        """Return a file's content; see `CheckpointStore`."""
        try:
            return Path(location).read_bytes()
        except OSError as error:
            raise CheckpointError(f"checkpoint {location} cannot be read: {error.strerror}") from error

    def exists(self, location: str) -> bool:
        """Return whether there is such a file."""
        return os.path.isfile(location)  # noqa: PTH113 Path.is_file raises if a folder may not be entered

    def delete(self, location: str) -> None:
        """Delete a file, if it is there."""
        try:
            Path(location).unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise _refusal(str(Path(location).parent), "changed", error) from error

    def files(self, folder: str) -> Iterator[StoredFile]:
        """Yield the files; links are left out."""
        for place, _, names in os.walk(folder):
            for name in names:
                path = Path(place, name)
                with suppress(OSError):  # somebody has just deleted it
                    if not path.is_symlink():
                        yield StoredFile(location=str(path), size=path.stat().st_size)

    def remove(self, folder: str) -> None:
        """Delete a folder with all that is in it."""
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _refusal(folder, "removed", error) from error


def _refusal(folder: str, action: str, error: OSError) -> StoreError:
    return StoreError(f"the checkpoint store {folder} cannot be {action}: {error.strerror or error}")


def _write(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".epoch-", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
