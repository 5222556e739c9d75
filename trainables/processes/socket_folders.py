"""Folders for Unix sockets, whose paths may have no more than 107 bytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["LONGEST", "make_socket_folder", "socket_root"]

LONGEST: Final = 38
"""Bytes of the longest folder that may hold sockets: Ray adds 68 to it, `/ray/session_…/sockets/plasma_store`."""

_OTHERS: Final = ("/tmp", "/var/tmp", "/dev/shm", "/run")


def socket_root(others: Sequence[str] = _OTHERS) -> str:
    """Return the folder below which sockets are made: the one for temporary files (TMPDIR) if its path is short.

    others: folders to try after it, in this order.

    Raises:
        OSError: no folder with a short path can be written.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    tried = [_temporary_folder(), *others, *([runtime] if runtime else [])]
    for folder in filter(None, tried):
        if len(os.fsencode(folder)) <= LONGEST and _is_writable(folder):
            return folder
    raise OSError(
        f"no folder for sockets: {', '.join(dict.fromkeys(filter(None, tried)))} cannot be written, or have paths of "
        f"more than {LONGEST} bytes; set TMPDIR to a folder with a shorter path that can be written"
    )


def make_socket_folder(prefix: str) -> str:
    """Make a folder that only this user can enter, short enough for sockets in it, and return its path.

    Raises:
        OSError: no folder with a short path can be written.
    """
    return tempfile.mkdtemp(prefix=prefix, dir=socket_root())


def _temporary_folder() -> str | None:
    """Return the folder for temporary files as an absolute path; None if Python finds none."""
    try:
        return str(Path(tempfile.gettempdir()).absolute())
    except FileNotFoundError:
        return None


def _is_writable(folder: str) -> bool:
    return Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK)
