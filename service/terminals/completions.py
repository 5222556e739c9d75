"""Completions for the shell. Each answers in the time of a key press: without torch, Ray, MLflow and SQLAlchemy."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from search_spaces.documents import expand_user
from service.settings import has_settings

if TYPE_CHECKING:
    from service.settings import Context, Home

__all__ = ["VARIABLE", "backbones", "contexts", "keys", "spaces", "sweep_files", "sweeps", "topics"]

Words = list[tuple[str, str]]
"""Words, each with its description."""

VARIABLE = "_MELTPOINT_COMPLETE"
"""The environment variable by which a shell's script asks for completions."""

MOST_SWEEPS = 100
"""Number of a service's sweeps that are offered."""

_SUFFIXES = (".yaml", ".yml")


def sweeps(ctx: typer.Context, incomplete: str) -> Words:
    """Return `last`, ids and names of sweeps, newest first; nothing if the ledger or the service cannot be read."""
    from search_spaces.errors import MeltpointError
    from service.settings import choose_context

    try:
        typed = ctx.params.get("home")
        context = None if typed is not None else choose_context(ctx.params.get("context"))
        rows = _ledger_rows(_home(ctx).ledger) if context is None else _service_rows(context)
    except (sqlite3.Error, MeltpointError):
        return []
    ids = [(sweep, f"{name}, {state}") for sweep, name, state in rows]
    newest = {name: sweep for sweep, name, _ in reversed(rows)}
    last = [("last", rows[0][0])] if rows else []
    return _fitting([*last, *ids, *newest.items()], incomplete)


def contexts(incomplete: str) -> Words:
    """Return the names of contexts; nothing if they cannot be read."""
    from search_spaces.errors import MeltpointError
    from service.settings import ContextBook

    try:
        book = ContextBook.load()
    except MeltpointError:
        return []
    return _fitting(((name, context.url) for name, context in book.contexts.items()), incomplete)


def sweep_files(incomplete: str) -> Words:
    """Return sweep files; nothing if a folder fits, so that the shell completes the folder."""
    folder, _, start = incomplete.rpartition(os.sep)
    place = expand_user(folder or (os.sep if incomplete.startswith(os.sep) else "."))
    if not place.is_dir():
        return []
    inside = [file for file in sorted(place.iterdir()) if file.name.startswith(start) and file.name[0] != "."]
    if any(file.is_dir() for file in inside):
        return []
    head = incomplete[: len(incomplete) - len(start)]
    return [(head + file.name, "") for file in inside if file.suffix in _SUFFIXES]


def spaces(incomplete: str) -> Words:
    """Return shipped spaces, or else sweep files."""
    from search_spaces.spaces import SHIPPED

    return _fitting(SHIPPED.items(), incomplete) or sweep_files(incomplete)


def backbones(incomplete: str) -> Words:
    """Return the names of backbones."""
    from search_spaces.backbones import BACKBONES

    return [(name, BACKBONES[name].family) for name in BACKBONES if name.startswith(incomplete)]


def topics(incomplete: str) -> Words:
    """Return every name that `explain` knows."""
    from service.explanations import TOPICS

    return _fitting(((topic.name, topic.kind) for topic in TOPICS), incomplete)


def keys(incomplete: str) -> Words:
    """Return the keys of a sweep file that `--set` takes."""
    from search_spaces import PARAMETERS
    from search_spaces.schemas import section_keys

    names = [(f"space.{name}", parameter.description) for name, parameter in PARAMETERS.items()]
    return _fitting([*((key.path, key.description) for key in section_keys()), *names], incomplete)


def _fitting(words: Iterable[tuple[str, str]], incomplete: str) -> Words:
    return [(word, about) for word, about in words if word.startswith(incomplete)]


def _home(ctx: typer.Context) -> Home:
    from service.settings import Home

    flag = ctx.params.get("home")
    if flag is None and has_settings():
        from service.settings.settings import read_settings

        setting = read_settings().get("home")
        flag = setting.value if setting else None
    return Home.resolve(flag)


def _service_rows(context: Context) -> list[tuple[str, str, str]]:
    """Return id, name and state of the newest sweeps of a service that answers within a second."""
    from service.clients import Connection

    with Connection(context, patience=0.0, timeout=1.0) as connection:
        rows = connection.get("/sweeps", limit=MOST_SWEEPS)["items"]
    return [(row["sweep_id"], row["name"], row["state"]) for row in rows]


def _ledger_rows(ledger: Path) -> list[tuple[str, str, str]]:
    """Return id, name and state of every sweep, newest first, without SQLAlchemy, which takes longer to load."""
    if not ledger.exists():
        return []
    connection = sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True, timeout=0.2)
    try:
        return connection.execute("select id, name, state from sweeps order by created_at desc, id").fetchall()
    finally:
        connection.close()
