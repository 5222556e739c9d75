"""Who uses a folder of prepared or downloaded images: whoever has it open holds it, while their process lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["FolderLock", "lock_for_removal"]


class FolderLock:
    """A shared lock on a folder, let go when this object is, or when its process ends.

    On a file system without locks nothing is locked, and `lock_for_removal` then gives False. Raises OSError if the
    folder is missing, or is moved away meanwhile.
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
def lock_for_removal(folder: Path) -> Iterator[bool]:
    """Whether nobody holds the folder or writes it; while entered, `prepare_data` keeps away and new holders wait."""
    with contextlib.ExitStack() as stack:
        yield all(_ours(path, stack) for path in (folder.with_suffix(".lock"), folder))


def _ours(path: Path, stack: contextlib.ExitStack) -> bool:
    """Lock a file or folder, which may be missing, exclusively and at once; False where it is taken."""
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
