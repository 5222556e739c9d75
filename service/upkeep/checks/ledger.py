"""The ledger: a file of the home, or a database elsewhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from service.upkeep.checks.findings import PATIENCE_SECONDS, Finding, Surroundings, problem

if TYPE_CHECKING:
    from service.ledgers import Schema

__all__ = ["check_ledger"]


def check_ledger(surroundings: Surroundings) -> Iterator[Finding]:
    """Check that the ledger can be read, is whole, and has a schema that this version knows."""
    from service.ledgers import schema_of

    path = surroundings.home.ledger
    if surroundings.home.ledger_url != f"sqlite:///{path}":
        yield _database_finding(surroundings.home.ledger_url, may_migrate=surroundings.home.may_migrate)
        return
    if not path.exists():
        yield Finding(name="ledger", text="none yet: made by the first `meltpoint run` or `meltpoint serve`")
        return
    advice = f"move {path} away, or put a copy from before in its place"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)) as opened:
            (verdict,) = opened.execute("PRAGMA quick_check(1)").fetchone()
            schema = schema_of(opened)
    except sqlite3.Error as error:
        yield problem("ledger", f"{path} cannot be read: {error}", advice)
        return
    if verdict != "ok":
        yield problem("ledger", f"{path} is damaged: {verdict}", advice)
    else:
        yield _schema_finding(schema, str(path), may_migrate=surroundings.home.may_migrate)


def _schema_finding(schema: Schema, name: str, *, may_migrate: bool) -> Finding:
    if schema.newer:
        return problem(
            "ledger", f"{name} was written by a newer version (schema {schema.present})", "upgrade Meltpoint"
        )
    if schema.present != schema.wanted:
        present = schema.present or "none"
        if not may_migrate:
            text = f"schema {present}, this version needs {schema.wanted}, and MELTPOINT_MIGRATE is false"
            return problem("ledger", text, "run: meltpoint migrate")
        return Finding(name="ledger", text=f"schema {present}, upgraded to {schema.wanted} by the next command")
    return Finding(name="ledger", text=f"schema {schema.present}, whole")


def _database_finding(url: str, *, may_migrate: bool) -> Finding:
    """Return the finding about a ledger that is not a file of the home."""
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    from service.ledgers import schema_at, without_password

    try:
        without_password(url)
    except ArgumentError:
        advice = "give one such as postgresql+psycopg://USER@HOST/NAME"
        return problem("ledger", "MELTPOINT_LEDGER is no URL of a database", advice)
    try:
        schema = schema_at(url)
    except (SQLAlchemyError, ImportError) as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        return problem("ledger", f"{without_password(url)}: {reason}", "start it, or correct MELTPOINT_LEDGER")
    return _schema_finding(schema, without_password(url), may_migrate=may_migrate)
