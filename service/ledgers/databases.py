"""Opens the ledger's database: connection settings and schema version."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from service.errors import LedgerError

MIGRATIONS = Path(__file__).with_name("migrations")
VERSION_TABLE = "meltpoint_schema"

BUSY_SECONDS = 30
"""The time for which a connection to SQLite waits for others."""

_WRITER = 0x4D656C74
"""Key of the advisory lock that writers of a ledger take in PostgreSQL."""


def open_database(url: str, *, migrate: bool = True) -> Engine:
    """Return an engine on a database; an older schema is upgraded to this version's if `migrate` allows it.

    Raises:
        LedgerError: it cannot be opened, was written by a newer version, or by an older one and must not be upgraded.
    """
    try:
        engine = create_engine(url, **_pool(make_url(url)))
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise LedgerError(f"ledger: its URL cannot be used: {error}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "begin", _begin_postgresql)
    try:
        if not migrate:
            _refuse_older(engine)
        _upgrade(engine)
    except DBAPIError as error:
        engine.dispose()
        raise LedgerError(f"ledger {engine.url.render_as_string()}: {error.orig}") from error
    except LedgerError:
        engine.dispose()
        raise
    return engine


def _pool(url: URL) -> dict[str, Any]:
    """Return options of the pool. A database in memory lives in its one connection, which threads take in turn."""
    if not url.drivername.startswith("sqlite"):
        return {"pool_pre_ping": True}
    if url.database not in (None, "", ":memory:"):
        return {}
    single = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
    return single | {"connect_args": {"check_same_thread": False}}


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The revision of a database (None before its first) and the revision of this version."""

    present: str | None
    wanted: str
    newer: bool


def without_password(url: str) -> str:
    """Return the URL without its password, for messages."""
    return make_url(url).render_as_string()


def schema_at(url: str) -> Schema:
    """Return the schema of the database at `url`, without upgrading it.

    Raises:
        SQLAlchemyError: the database cannot be read.
        ImportError: its driver is not installed.
    """
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return _schema(revision(connection))


def schema_of(opened: sqlite3.Connection) -> Schema:
    """Return the schema of an open SQLite file, without upgrading it. Raises sqlite3.Error if it is no database."""
    named = opened.execute("SELECT name FROM sqlite_master WHERE name = ?", (VERSION_TABLE,)).fetchone()
    row = opened.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone() if named else None
    return _schema(None if row is None else str(row[0]))


def _schema(present: str | None) -> Schema:
    scripts = ScriptDirectory.from_config(_config())
    newer = present is not None and not _knows(scripts, present)
    return Schema(present=present, wanted=str(scripts.get_current_head()), newer=newer)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def read_only(engine: Engine) -> Engine:
    """Return the same engine for readers, which take no lock."""
    return engine.execution_options(read_only=True)


def snapshot(engine: Engine) -> Engine:
    """Return the same engine for readers that see one moment of the database throughout a connection."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(read_only=True, snapshot=True)
    return engine.execution_options(read_only=True, isolation_level="REPEATABLE READ")


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver would begin a transaction only at its first write: what was read before could be out of date by then.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    _turn_on_write_ahead_log(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _turn_on_write_ahead_log(cursor: DBAPICursor) -> None:
    """Turn on the log; wait while another process makes the file, because SQLite itself refuses at once."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("snapshot"):
        connection.exec_driver_sql("BEGIN")
    elif not options.get("read_only"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    """Let one writer in at a time, as SQLite does: what a transaction has read stays true until its end."""
    if not connection.get_execution_options().get("read_only"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER})")


def _refuse_older(engine: Engine) -> None:
    with read_only(engine).connect() as connection:
        schema = _schema(revision(connection))
    if schema.newer or schema.present == schema.wanted:
        return
    state = "it has no tables yet" if schema.present is None else f"its schema is {schema.present}"
    raise LedgerError(
        f"ledger {engine.url.render_as_string()}: {state}, this version of Meltpoint needs {schema.wanted}, and "
        "MELTPOINT_MIGRATE is false; run: meltpoint migrate"
    )


def _upgrade(engine: Engine) -> None:
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    with read_only(engine).connect() as connection:
        if revision(connection) == scripts.get_current_head():
            return
    with engine.begin() as connection:
        present = revision(connection)
        if present is not None and not _knows(scripts, present):
            raise LedgerError(
                f"ledger {engine.url.render_as_string()}: its schema is {present}, and this version of "
                f"Meltpoint knows none newer than {scripts.get_current_head()}; upgrade Meltpoint to open it"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def revision(connection: Connection) -> str | None:
    """Return the schema's revision; None before the first."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _knows(scripts: ScriptDirectory, revision: str) -> bool:
    try:
        return scripts.get_revision(revision) is not None
    except CommandError:
        return False
