"""The surroundings of a command: its home, made ready, and the flag `--debug`."""

from __future__ import annotations

import sys
from pathlib import Path

from service.settings import Home, prepare_environment

__all__ = ["is_debugging", "make_home"]


def make_home(flag: Path | None) -> Home:
    """Return the home, created if need be, and set the environment that Ray and MLflow read when they are imported."""
    home = Home.resolve(flag).create()
    prepare_environment(home)
    return home


def is_debugging() -> bool:
    """Return if `--debug` was typed, before or behind the command."""
    return "--debug" in sys.argv[1:]
