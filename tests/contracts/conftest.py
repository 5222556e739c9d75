"""Ledgers in SQLite (in memory and in a file), and in a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import make_url

from service.clients import Connection
from service.clients.remote_sweeps import RemoteSweeps
from service.ledgers import Ledger
from service.settings import Home
from service.sweeps import HomeSweeps, SweepRequests
from tests.contracts.ledgers import Ticks
from tests.contracts.services import beat_drivers, serve_api
from tests.databases import MakePostgresql, new_postgresql, postgresql

__all__ = ["new_postgresql", "postgresql"]


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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("MELTPOINT_LEDGER", raising=False)
    return Home(tmp_path / "home").create()


@pytest.fixture(params=["home", "service"])
def requests(request: pytest.FixtureRequest, home: Home, ledger: Ledger) -> Iterator[SweepRequests]:
    """Return requests on the ledger of the test's home, in this process and over a service."""
    if request.param == "home":
        yield HomeSweeps(home)
        return
    with serve_api(home) as context, Connection(context, patience=5) as connection:
        yield RemoteSweeps(connection)


@pytest.fixture
def drivers(ledger: Ledger) -> None:
    beat_drivers(ledger)
