"""New ledgers in SQLite by the statements of one that was migrated once: the migrations of each would take 40 ms."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from unittest import mock

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import StaticPool

from service.ledgers import databases

migrate = databases._upgrade
"""Upgrades a database by its migrations."""


@contextmanager
def ready_ledgers() -> Iterator[None]:
    """Let this process make new ledgers in SQLite without migrations, for as long as entered."""
    with mock.patch.object(databases, "_upgrade", _fill_or_migrate):
        yield


def _fill_or_migrate(engine: Engine) -> None:
    if engine.dialect.name == "sqlite" and _is_empty(engine):
        _fill(engine)
    else:
        migrate(engine)


def _is_empty(engine: Engine) -> bool:
    with databases.read_only(engine).connect() as connection:
        return databases.revision(connection) is None


def _fill(engine: Engine) -> None:
    """Make the tables in one transaction, unless another process has made them meanwhile."""
    statements = _statements()
    with engine.begin() as connection:
        if databases.revision(connection) is None:
            for statement in statements:
                connection.exec_driver_sql(statement)


@cache
def _statements() -> tuple[str, ...]:
    """Return the statements that make a ledger without a row, as the migrations leave it."""
    with closing(sqlite3.connect(":memory:")) as migrated:
        migrate(create_engine("sqlite://", creator=lambda: migrated, poolclass=StaticPool))
        return tuple(line for line in migrated.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;"))
