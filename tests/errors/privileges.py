"""File permissions that also bind root, so that tests of permissions pass under every user."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

_VERSION = 0x20080522
_PASSES_BY_PERMISSIONS = 0b110
"""The bits of CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


@contextlib.contextmanager
def as_anyone() -> Iterator[None]:
    """Bind this thread, and threads that it starts meanwhile, to files' permissions (capabilities(7))."""
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
