"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["expand_user"]


def expand_user(path: str | Path) -> Path:
    """Return a path with the user's folder for `~`; unchanged if that folder is unknown, as a shell leaves it.

    A user of a container may have neither the variable HOME nor an entry in the list of users.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
