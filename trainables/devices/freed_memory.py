"""Settings of the C library for freed memory, which can be most of the cost of a small tensor on a CPU."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
"""Parameters of mallopt(3)."""


def keep_freed_memory() -> None:
    """Keep the memory of freed tensors in this process for the next ones, instead of returning it to the system.

    By default glibc maps blocks above some 100 KB again each time, and the system fills their pages with zeros: a
    quarter of the time of a small convolutional network. With this call the process stays as large as its peak.
    Without glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)  # a threshold would be 32 MiB at most, and a batch's activations are larger
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 64 * 1024 * 1024)
