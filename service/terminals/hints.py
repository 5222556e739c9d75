"""Hints at the next command, written so that they work when they are typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import typer

from service.terminals.outputs import stderr

__all__ = [
    "TAKE_CONTEXT",
    "TAKE_HOME",
    "home_option",
    "is_home_typed",
    "print_next",
    "remember_context",
    "remember_home",
    "repeat_options",
]

TAKE_CONTEXT: Final = frozenset(
    {
        *(
            "pause",
            "stop",
            "cancel",
            "resume",
            "change",
            "ls",
            "status",
            "trials",
            "report",
            "compare",
            "watch",
            "logs",
        ),
        *("rm", "confirm", "export", "promote", "rollback", "models", "submit", "queue", "ui"),
        *("token create", "token ls", "token revoke", "user add", "user ls", "user set"),
    }
)
"""Commands with an option `--context`."""

TAKE_HOME: Final = TAKE_CONTEXT | {
    *(
        "plan",
        "run",
        "train",
        "serve",
        "migrate",
        "node",
        "sync",
        "doctor",
        "backup",
        "restore",
        "cache ls",
        "cache prune",
    ),
}
"""Commands with an option `--home`."""

_COMMAND: Final = re.compile(
    f"meltpoint ({'|'.join(sorted(TAKE_HOME, key=len, reverse=True))})(?![\\w`])(?![^;\\n`]* --(?:home|context) )"
)
"""A command that somebody could type, without these options; a name in backticks alone is none."""

_typed_home: Path | None = None
"""The folder behind `--home`, if this process's command was typed with it."""

_typed_context: str | None = None
"""The service behind `--context`, if this process's command was typed with it."""


def remember_home(context: typer.Context, value: Path | None) -> Path | None:
    """Keep a typed `--home` for the hints; typer calls this with the option's value."""
    global _typed_home
    _typed_home = value if _is_typed(context, "home") else None
    return value


def remember_context(context: typer.Context, value: str | None) -> str | None:
    """Keep a typed `--context` for the hints; typer calls this with the option's value."""
    global _typed_context
    _typed_context = value if _is_typed(context, "context") else None
    return value


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def is_home_typed() -> bool:
    """Return whether this process's command was typed with `--home`, and so is about that home."""
    return _typed_home is not None


def home_option() -> str:
    """Return ` --home DIR` if that was typed, so that a printed command finds the same home."""
    return "" if _typed_home is None else f" --home {shlex.quote(str(_typed_home))}"


def repeat_options(message: str) -> str:
    """Return a message whose commands have the `--context` and the `--home` that were typed.

    The options stand right behind the command's name, which works whatever follows it.
    """
    return _COMMAND.sub(lambda match: match[0] + _typed_options(match[1]), message)


def _typed_options(command: str) -> str:
    """Return the typed options that a command takes, each with a space before it."""
    is_context = _typed_context is not None and command in TAKE_CONTEXT
    context = f" --context {shlex.quote(_typed_context or '')}" if is_context else ""
    return context + (home_option() if command in TAKE_HOME else "")


def print_next(*words: str) -> None:
    """Print on stderr the command that a user may want next."""
    quoted = words if words[-1] == "SPEC" else map(shlex.quote, words)
    command = " ".join(words[:2]) if " ".join(words[:2]) in TAKE_HOME else words[0]
    stderr().print(f"next: meltpoint {' '.join(quoted)}{_typed_options(command)}", markup=False, soft_wrap=True)
