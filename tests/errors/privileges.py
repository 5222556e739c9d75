"""Files as any user meets them, also where the tests run as root, whom no permission stops."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

_VERSION = 0x20080522
_PASSES_BY_PERMISSIONS = 0b110
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


@contextlib.contextmanager
def as_anyone() -> Iterator[None]:
    """This thread, and those that it starts meanwhile, keep to files' permissions (capabilities(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()
    libc.capget(head, sets)
    before = sets[0]
    sets[0] = before & ~_PASSES_BY_PERMISSIONS
    libc.capset(head, sets)
    try:
        yield
    finally:
        sets[0] = before
        libc.capset(head, sets)
