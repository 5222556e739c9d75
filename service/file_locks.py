"""Locks between processes, kept by the operating system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["try_lock"]


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Lock a file until the block ends, and yield True; yield False at once if the lock is taken.

    The system frees the lock when its process ends, however it ends. A second lock on the same file is refused within
    one process too. The file stays, and its folder is made.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # filelock's fallback for file systems without locks would outlive a process that is killed.
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
