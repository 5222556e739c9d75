"""Files with secrets, which only their owner can read."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

__all__ = ["create_secret", "write_secret"]


def create_secret(path: Path) -> str:
    """Return the secret in a file, 256 bits in hexadecimal; it is made at the first call.

    A hard link to a temporary file makes it appear whole, and keeps the first one if several processes write at once.
    """
    if not path.exists():
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
        Path(temporary).unlink()
    return path.read_text().strip()


def write_secret(path: Path, text: str) -> None:
    """Write a secret into a file; an older one is replaced, and the file is whole at any moment."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    Path(temporary).replace(path)
