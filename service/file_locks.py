"""Locks between processes, kept by the operating system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["try_lock", "wait_for_lock"]


@contextmanager
def wait_for_lock(path: Path, seconds: float) -> Iterator[bool]:
    """Lock a file until the block ends, and yield True; yield False if the lock is still taken after `seconds`.

    The system frees the lock when its process ends, however it ends. A second lock on the same file is refused within
    one process too. The file stays, and its folder is made.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # filelock's fallback for file systems without locks would outlive a process that is killed.
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def try_lock(path: Path) -> AbstractContextManager[bool]:
    """Lock a file as `wait_for_lock` does, without waiting."""
    return wait_for_lock(path, 0)
