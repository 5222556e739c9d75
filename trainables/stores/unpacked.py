"""Unpacked files that are kept in a home, from one sweep to the next."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from trainables.datasets.archives import CONTENT, content_key, no_room
from trainables.stores.locks import FolderLock, lock_for_writing

__all__ = ["KeptFiles"]


class KeptFiles:
    """Unpacked files below `folder`: each source has a folder of its own, which `cache prune` removes if it is unused.

    Processes that unpack the same source wait for each other. Files are in use as long as this object lives.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: dict[str, FolderLock] = {}

    def keep(self, name: str, stamp: str, write: Callable[[BinaryIO], None]) -> Path:
        """Return the local file, as `UnpackedFiles.keep` does."""
        key = content_key(stamp)
        folder = self._folder / key
        self._folder.mkdir(parents=True, exist_ok=True)
        with lock_for_writing(folder):
            if not (folder / CONTENT).exists():
                self._write(folder, name, write)
            (folder / "about.json").touch()  # its time tells `cache prune` when the file was last used
            self._locks.setdefault(key, FolderLock(folder))
        return folder / CONTENT

    def _write(self, folder: Path, name: str, write: Callable[[BinaryIO], None]) -> None:
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            with (partial / CONTENT).open("wb") as stream:
                write(stream)
            (partial / "about.json").write_text(json.dumps({"name": name}), encoding="utf-8")
            partial.rename(folder)
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise no_room(name, self._folder) from None
            raise
