"""Locks on folders of prepared or downloaded images, freed by the system when their process ends.

`flock` locks the folder itself, so that the lock moves with the folder and no reader writes a file; filelock's shared
lock is an SQLite file of its own, and can do neither.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["FolderLock", "lock_for_removal", "lock_for_writing"]


class FolderLock:
    """A shared lock on a folder in use, released with this object, or when its process ends.

    On a file system without locks nothing is locked, and `lock_for_removal` then yields False.

    Raises:
        OSError: the folder is missing, or was replaced meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)
            if not os.path.samestat(os.fstat(self._descriptor), folder.stat()):
                raise FileNotFoundError(f"{folder} was replaced")
        except BaseException:
            self._release()
            raise

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self._release()


@contextmanager
def lock_for_writing(folder: Path) -> Iterator[None]:
    """Wait until no other process writes `folder`, and keep others from writing it meanwhile.

    The lock is the file `folder` with the suffix `.lock`, since the folder may not exist yet.
    """
    with _lock_file(folder).open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def lock_for_removal(folder: Path) -> Iterator[bool]:
    """Yield True if no process uses or writes `folder`; users and writers then wait until the block ends."""
    with contextlib.ExitStack() as stack:
        yield all(_try_exclusively(path, stack) for path in (_lock_file(folder), folder))


def _lock_file(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _try_exclusively(path: Path, stack: contextlib.ExitStack) -> bool:
    """Lock a file or folder, which may be missing, until `stack` closes; return False if another process has it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
