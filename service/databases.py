"""Opens the ledger's database: connection settings and schema version."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from service.errors import LedgerError

MIGRATIONS = Path(__file__).with_name("migrations")
VERSION_TABLE = "meltpoint_schema"


def open_database(url: str) -> Engine:
    """An engine on a database whose schema is this version's; an older one is upgraded.

    Raises:
        LedgerError: it cannot be opened, or was written by a newer version.
    """
    engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        _upgrade(engine)
    except DBAPIError as error:
        engine.dispose()
        raise LedgerError(f"ledger {engine.url.render_as_string()}: {error.orig}") from error
    except LedgerError:
        engine.dispose()
        raise
    return engine


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The revision that a database has (None before its first) and the one that this version wants."""

    found: str | None
    wanted: str
    newer: bool


def schema_of(opened: sqlite3.Connection) -> Schema:
    """Look without upgrading. Raises sqlite3.Error where the file is no database."""
    scripts = ScriptDirectory.from_config(_config())
    named = opened.execute("SELECT name FROM sqlite_master WHERE name = ?", (VERSION_TABLE,)).fetchone()
    row = opened.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone() if named else None
    found = None if row is None else str(row[0])
    newer = found is not None and not _knows(scripts, found)
    return Schema(found=found, wanted=str(scripts.get_current_head()), newer=newer)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def read_only(engine: Engine) -> Engine:
    """The same database for readers, who take no lock."""
    return engine.execution_options(read_only=True)


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver would begin a transaction only at its first write: what was read before could be out of date by then.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    if not connection.get_execution_options().get("read_only"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(engine: Engine) -> None:
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    with read_only(engine).connect() as connection:
        if _revision(connection) == scripts.get_current_head():
            return
    with engine.begin() as connection:
        revision = _revision(connection)
        if revision is not None and not _knows(scripts, revision):
            raise LedgerError(
                f"ledger {engine.url.render_as_string()}: its schema ({revision}) is newer than this version of "
                "Meltpoint; upgrade Meltpoint to open it"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _knows(scripts: ScriptDirectory, revision: str) -> bool:
    try:
        return scripts.get_revision(revision) is not None
    except CommandError:
        return False
