"""How the C library treats memory that was freed, which is what most of a small tensor's cost can be on a CPU."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
"""Of mallopt(3)."""


def keep_freed_memory() -> None:
    """Have this process keep what tensors free for the next ones, instead of giving it back to the system.

    By default glibc maps what is larger than some 100 KB anew each time, and the system fills each page of it with
    zeros: a quarter of the time of a small convolutional network. The process then stays as large as it once was.
    Elsewhere than on glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)  # a threshold would be 32 MiB at most, and a batch's activations are larger
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 64 * 1024 * 1024)
