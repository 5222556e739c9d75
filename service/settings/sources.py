"""Sources of settings: variables and files.

Loads no pydantic-settings, so that a command starts quickly if no settings are given.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["DEFAULT", "PREFIX", "PROJECT_FILE", "Setting", "has_settings", "user_file"]

PREFIX = "MELTPOINT_"
PROJECT_FILE = Path("meltpoint.toml")

DEFAULT: Final = "default"
"""Origin of a setting that is given nowhere."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting in force. origin: the name of a variable, a file, or `default`."""

    name: str
    value: Any
    origin: str


def user_file() -> Path:
    """Return `meltpoint/config.toml` in the user's config folder: $XDG_CONFIG_HOME, else ~/.config."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return folder / "meltpoint" / "config.toml"


def has_settings() -> bool:
    """Return whether a variable or a file may hold a setting."""
    has_variable = any(name.upper().startswith(PREFIX) for name in os.environ)
    return has_variable or PROJECT_FILE.exists() or user_file().exists()
