"""Hints at the next command, written so that they work when they are typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from service.terminals.outputs import stderr

__all__ = ["home_option", "is_home_typed", "print_next", "remember_home"]

_typed_home: Path | None = None
"""The folder behind `--home`, if this process's command was typed with it."""


def remember_home(context: typer.Context, value: Path | None) -> Path | None:
    """Keep a typed `--home` for the hints; typer calls this with the option's value."""
    global _typed_home
    source = context.get_parameter_source("home")
    _typed_home = value if source is not None and source.name == "COMMANDLINE" else None
    return value


def is_home_typed() -> bool:
    """Return whether this process's command was typed with `--home`, and so is about that home."""
    return _typed_home is not None


def home_option() -> str:
    """Return ` --home DIR` if that was typed, so that a printed command finds the same home."""
    return "" if _typed_home is None else f" --home {shlex.quote(str(_typed_home))}"


def print_next(*words: str) -> None:
    """Print on stderr the command that a user may want next."""
    quoted = words if words[-1] == "SPEC" else map(shlex.quote, words)
    stderr().print(f"next: meltpoint {' '.join(quoted)}{home_option()}", markup=False, soft_wrap=True)
