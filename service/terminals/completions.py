"""What the shell may complete. Each answers in the time of a key press: no torch, no Ray, no MLflow, no SQLAlchemy."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from service.settings import has_settings

if TYPE_CHECKING:
    from service.settings import Home

__all__ = ["VARIABLE", "backbones", "keys", "spaces", "sweep_files", "sweeps", "topics"]

Found = list[tuple[str, str]]
"""Words and what is said of each."""

VARIABLE = "_MELTPOINT_COMPLETE"
"""The environment variable by which a shell's script asks."""

_SUFFIXES = (".yaml", ".yml")


def sweeps(ctx: typer.Context, incomplete: str) -> Found:
    """`last`, ids and names of sweeps, newest first; nothing where the ledger cannot be read."""
    from search_spaces.errors import MeltpointError

    try:
        rows = _ledger_rows(_home(ctx).ledger)
    except (sqlite3.Error, MeltpointError):
        return []
    ids = [(sweep, f"{name}, {state}") for sweep, name, state in rows]
    newest = {name: sweep for sweep, name, _ in reversed(rows)}
    last = [("last", rows[0][0])] if rows else []
    return _fitting([*last, *ids, *newest.items()], incomplete)


def sweep_files(incomplete: str) -> Found:
    """Sweep files; nothing where a folder fits, so that the shell goes on into it."""
    folder, _, start = incomplete.rpartition(os.sep)
    place = Path(folder or (os.sep if incomplete.startswith(os.sep) else ".")).expanduser()
    if not place.is_dir():
        return []
    inside = [one for one in sorted(place.iterdir()) if one.name.startswith(start) and one.name[0] != "."]
    if any(one.is_dir() for one in inside):
        return []
    head = incomplete[: len(incomplete) - len(start)]
    return [(head + one.name, "") for one in inside if one.suffix in _SUFFIXES]


def spaces(incomplete: str) -> Found:
    """Shipped spaces, and sweep files."""
    from search_spaces.spaces import SHIPPED

    return _fitting(SHIPPED.items(), incomplete) or sweep_files(incomplete)


def backbones(incomplete: str) -> Found:
    from search_spaces.backbones import BACKBONES

    return [(name, BACKBONES[name].family) for name in BACKBONES if name.startswith(incomplete)]


def topics(incomplete: str) -> Found:
    """Everything that `explain` knows."""
    from service.explanations import TOPICS

    return _fitting(((topic.name, topic.kind) for topic in TOPICS), incomplete)


def keys(incomplete: str) -> Found:
    """Keys of a sweep file that `--set` may be given."""
    from search_spaces import PARAMETERS
    from search_spaces.schemas import section_keys

    names = [(f"space.{name}", parameter.description) for name, parameter in PARAMETERS.items()]
    return _fitting([*((key.path, key.description) for key in section_keys()), *names], incomplete)


def _fitting(words: Iterable[tuple[str, str]], incomplete: str) -> Found:
    return [(word, about) for word, about in words if word.startswith(incomplete)]


def _home(ctx: typer.Context) -> Home:
    from service.settings import Home

    flag = ctx.params.get("home")
    if flag is None and has_settings():
        from service.settings.settings import read_settings

        setting = read_settings().get("home")
        flag = setting.value if setting else None
    return Home.resolve(flag)


def _ledger_rows(ledger: Path) -> list[tuple[str, str, str]]:
    """Id, name and state of every sweep, newest first. Read without SQLAlchemy, which takes longer to load."""
    if not ledger.exists():
        return []
    connection = sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True, timeout=0.2)
    try:
        return connection.execute("select id, name, state from sweeps order by created_at desc, id").fetchall()
    finally:
        connection.close()
