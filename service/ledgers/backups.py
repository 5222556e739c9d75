"""Backups: the whole ledger in one file, taken while in use, and restored into an empty ledger of either kind."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, text

from service.errors import BackupError
from service.ledgers.databases import revision, snapshot
from service.ledgers.tables import metadata, services

__all__ = ["Contents", "read_backup", "write_backup"]

_ABOUT = "about.json"
_ROWS_AT_ONCE = 1000
_TABLES = tuple(table for table in metadata.sorted_tables if table is not services)
"""Every table but the one of processes that live now. Tokens go along as the ledger has them: as digests."""

Contents = dict[str, int]
"""Number of rows by table."""


def write_backup(engine: Engine, path: Path) -> Contents:
    """Write every table but `services` as of one moment. The file appears whole under its name or not at all.

    Raises:
        BackupError: the file cannot be written.
    """
    try:
        descriptor, beside = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}-")
    except OSError as error:
        raise BackupError(f"backup {path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            contents = _write(engine, file)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except OSError as error:
        raise BackupError(f"backup {path} cannot be written: {error.strerror}") from error
    finally:
        Path(beside).unlink(missing_ok=True)
    return contents


def read_backup(path: Path, engine: Engine) -> Contents:
    """Put a backup into an empty ledger, in one transaction.

    Raises:
        BackupError: the file is no backup, is damaged or was made by another version; or the ledger holds sweeps
            or users.
    """
    try:
        with zipfile.ZipFile(path) as archive, engine.begin() as connection:
            about = json.loads(archive.read(_ABOUT))
            _check(connection, path, about)
            for table in _TABLES:
                with archive.open(f"{table.name}.jsonl") as lines:
                    _insert(connection, table, lines)
            _move_sequences(connection)
            return {name: int(rows) for name, rows in about["rows"].items()}
    except (OSError, zipfile.BadZipFile, zlib.error, KeyError, ValueError) as error:
        raise BackupError(f"backup {path} cannot be read: {error}") from error


def _write(engine: Engine, file: Any) -> Contents:
    contents: Contents = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, snapshot(engine).connect() as connection:
        about: dict[str, Any] = {"schema": revision(connection)}
        for table in _TABLES:
            with archive.open(f"{table.name}.jsonl", "w") as lines:
                contents[table.name] = 0
                for row in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(select(table)).mappings():
                    lines.write(json.dumps(dict(row)).encode() + b"\n")
                    contents[table.name] += 1
        archive.writestr(_ABOUT, json.dumps(about | {"rows": contents}))
    return contents


def _check(connection: Connection, path: Path, about: dict[str, Any]) -> None:
    wanted = revision(connection)
    if about["schema"] != wanted:
        raise BackupError(
            f"backup {path} has schema {about['schema']}, and this version's is {wanted}: restore it with the version "
            "that made it, and then upgrade"
        )
    for name in ("sweeps", "users"):
        taken = connection.scalar(select(func.count()).select_from(metadata.tables[name]))
        if taken:
            raise BackupError(f"the ledger holds {taken} {name}: a backup is restored into an empty home")


def _insert(connection: Connection, table: Any, lines: Any) -> None:
    rows: list[dict[str, Any]] = []
    for line in lines:
        rows.append(json.loads(line))
        if len(rows) >= _ROWS_AT_ONCE:
            connection.execute(insert(table), rows)
            rows = []
    if rows:
        connection.execute(insert(table), rows)


def _move_sequences(connection: Connection) -> None:
    """Let PostgreSQL number new rows from the largest number on; by itself it goes on from its own count."""
    if connection.dialect.name != "postgresql":
        return
    for name in ("outbox", "journal", "events", "audit", "promotions"):
        connection.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), COALESCE((SELECT MAX(id) FROM {name}), 0) + 1, "
                "false)"
            )
        )
