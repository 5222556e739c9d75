"""Where settings may stand; known without loading what reads them, so that commands without any start quickly."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["PREFIX", "PROJECT_FILE", "any_given", "user_file"]

PREFIX = "MELTPOINT_"
PROJECT_FILE = Path("meltpoint.toml")


def user_file() -> Path:
    """`meltpoint/config.toml` in the user's config folder: $XDG_CONFIG_HOME, else ~/.config."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return folder / "meltpoint" / "config.toml"


def any_given() -> bool:
    """Whether the environment or a file may hold a setting."""
    named = any(name.upper().startswith(PREFIX) for name in os.environ)
    return named or PROJECT_FILE.exists() or user_file().exists()
