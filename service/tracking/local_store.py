"""MLflow's store in a SQLite file, such as the home's own: the file appears under its name only when it is whole.

MLflow creates the tables of a new store in many transactions. If its process dies in between, MLflow may refuse the
file from then on (such as `table logged_models already exists`, MLflow 3.17). So the store is made beside its place,
then renamed.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import time
import warnings
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

from service.errors import TrackingError
from service.file_locks import wait_for_lock
from service.settings import Home

__all__ = ["is_local_store_ready", "prepare_local_store"]

log = logging.getLogger(__name__)

_PREFIX = "sqlite:///"
_LOCK_SECONDS = 120.0
_BUSY_SECONDS = 20.0

_SETTLING_SECONDS = 3.0
"""Time after which a half made file that has not changed is taken for one that nobody is making."""

_COMPANIONS = ("-journal", "-wal", "-shm")
"""Endings of the files that SQLite keeps beside a database."""


def prepare_local_store(home: Home) -> None:
    """Make MLflow's store if it is a SQLite file that is not there; turn on the write-ahead log of the home's own.

    With the log, readers and the writer work at the same time; the file keeps the setting. A store that an earlier
    version left half made holds nothing. It is set aside as `mlflow.db.broken-N`, and a new one takes its place.

    Raises:
        TrackingError: another process makes the store and does not finish, or uses a store that is half made.
        OSError: the folder cannot be written.
    """
    store = _file_of(home)
    if store is None:
        return
    if not _is_ready(store):
        lock = store.with_name(f"{store.name}.lock")
        with wait_for_lock(lock, _LOCK_SECONDS) as is_ours:
            if not is_ours:
                raise TrackingError(
                    f"another process has been making {store} for {_LOCK_SECONDS:.0f} s (it has the lock {lock}); "
                    "end that process"
                )
            if not _is_ready(store):
                _make(store, write_ahead=home.has_local_tracking)
    if home.has_local_tracking:
        _turn_on_write_ahead_log(store)


def is_local_store_ready(home: Home) -> bool:
    """Return whether MLflow's store needs no `prepare_local_store`: it is whole, or no SQLite file."""
    store = _file_of(home)
    return store is None or _is_ready(store)


def _file_of(home: Home) -> Path | None:
    """Return the SQLite file of MLflow's store, or None if the store is something else, such as a server."""
    uri = home.tracking_uri
    name = uri.removeprefix(_PREFIX)
    if not uri.startswith(_PREFIX) or not name or name == ":memory:" or "?" in name:
        return None
    return Path(name).absolute()


def _is_ready(store: Path) -> bool:
    """Return whether the store holds an experiment or cannot be read.

    MLflow adds the experiment `Default` the first time that it opens a whole store. A file that cannot be read is
    MLflow's to report.
    """
    if not store.exists():
        return False
    try:
        with closing(_connect(store)) as connection:
            return connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is not None
    except sqlite3.Error as error:
        return error.sqlite_errorcode != sqlite3.SQLITE_ERROR  # the code of a table that does not exist


def _make(store: Path, *, write_ahead: bool) -> None:
    """Make the store beside its place, and rename it unless a whole one is there already."""
    whole = store.with_name(f"{store.name}.new")
    _remove(whole)
    try:
        _write_new(whole)
        if write_ahead:
            _turn_on_write_ahead_log(whole)
        if store.exists():
            _wait_until_settled(store)
            if _is_ready(store) or _revision(store) == _revision(whole):
                return  # it is new, and MLflow may not have opened it yet
            _set_aside(store)
        _remove(store)  # files of SQLite's that outlived their database would damage the new one
        _write_to_disk(whole)
        whole.replace(store)
        _write_to_disk(store.parent)
    finally:
        _remove(whole)


def _write_new(path: Path) -> None:
    """Create MLflow's tables as `mlflow db upgrade` does, but in memory, where nothing waits for a disk; copy them."""
    from mlflow.db import upgrade  # importing MLflow takes a second, and a home needs this once
    from sqlalchemy.exc import SADeprecationWarning

    name = f"file:meltpoint-{secrets.token_hex(8)}?mode=memory&cache=shared"
    with closing(sqlite3.connect(name, uri=True)) as connection:  # the database lives as long as a connection to it
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SADeprecationWarning)  # SQLAlchemy will change its pool for such databases
            upgrade.main([f"{_PREFIX}{name}&uri=true"], prog_name="mlflow db upgrade", standalone_mode=False)
        connection.execute("VACUUM INTO ?", (str(path),))


def _wait_until_settled(store: Path) -> None:
    """Wait until MLflow itself, if it is just making the store, has finished or died."""
    deadline, changed = time.monotonic() + _LOCK_SECONDS, 0
    while changed != (changed := store.stat().st_mtime_ns) and not _is_ready(store):
        if time.monotonic() > deadline:
            raise TrackingError(f"another process has been making {store} for {_LOCK_SECONDS:.0f} s; end that process")
        time.sleep(_SETTLING_SECONDS)


def _revision(store: Path) -> str | None:
    """Return the revision of the schema that MLflow's migrations have reached."""
    try:
        with closing(_connect(store)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return None
    return None if row is None else str(row[0])


def _set_aside(store: Path) -> None:
    """Rename a store that is half made. An empty file is left: it is deleted."""
    try:
        with closing(_connect(store)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # everything into the one file; refused if another uses it
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                return
    except sqlite3.OperationalError as error:
        raise TrackingError(
            f"{store} is half made, and another process has it open ({error}); "
            "end that process, such as an MLflow server"
        ) from error
    aside = next(path for n in count(1) if not (path := store.with_name(f"{store.name}.broken-{n}")).exists())
    store.rename(aside)
    log.warning("%s was half made and empty; it is %s now, and a new one takes its place", store, aside.name)


def _turn_on_write_ahead_log(store: Path) -> None:
    with closing(_connect(store)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _connect(path: Path) -> sqlite3.Connection:
    """Open a database that exists."""
    return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)


def _remove(path: Path) -> None:
    """Delete a database and the files that SQLite keeps beside it, so far as they are there."""
    for ending in (*_COMPANIONS, ""):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _write_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot do this for a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
