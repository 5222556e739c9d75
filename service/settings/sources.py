"""Sources of settings: variables and files.

Loads no pydantic-settings, so that a command starts quickly if no settings are given.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from search_spaces.documents import expand_user

__all__ = ["DEFAULT", "PREFIX", "PROJECT_FILE", "Setting", "has_settings", "settings_files", "user_file"]

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
    folder = expand_user(os.environ.get("XDG_CONFIG_HOME") or "~/.config")
    return folder / "meltpoint" / "config.toml"


def settings_files() -> list[Path]:
    """Return the files of settings that there are, the one that wins first.

    A file in a folder that the user may not enter counts as missing: containers set HOME to the folder of another user.
    """
    return [file for file in (PROJECT_FILE, user_file()) if os.path.exists(file)]  # noqa: PTH110 Path.exists raises


def has_settings() -> bool:
    """Return whether a variable or a file may hold a setting."""
    has_variable = any(name.upper().startswith(PREFIX) for name in os.environ)
    return has_variable or bool(settings_files())
