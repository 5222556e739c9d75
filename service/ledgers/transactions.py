"""Transactions on the ledger's database, guarded by the lease of the process that writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, select

from service.errors import StaleAttemptError, SweepNotFoundError
from service.ledgers import tables
from service.ledgers.databases import read_only
from service.ledgers.records import Lease
from service.signal_shields import SHIELD

__all__ = ["IDS_A_STATEMENT", "Clock", "Transactions", "batches", "check_sweep"]

Clock = Callable[[], int]
"""Returns the time as UTC milliseconds since 1970."""

IDS_A_STATEMENT = 500
"""Most ids that one statement names. SQLite allows 32,766 bind variables, PostgreSQL 65,535."""


class Transactions:
    """Opens connections for readers and transactions for writers.

    A writer's transaction is taken before it reads: it happens whole or not at all, and nobody writes in between.
    Under a lease, a transaction is refused once another process has taken the lease. A signal that is to break the
    main thread off waits until the connection is given back.

    Ownership: borrows the engine. Thread safety: each call takes a connection of its own.
    """

    def __init__(self, engine: Engine, clock: Clock, lease: Lease | None = None) -> None:
        self.engine, self._clock, self.lease = engine, clock, lease

    def now(self) -> int:
        """Return the time as UTC milliseconds since 1970."""
        return self._clock()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection that takes no lock."""
        with SHIELD, read_only(self.engine).connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction, which is committed at the end.

        Raises:
            StaleAttemptError: another driver has taken the lease.
            SweepNotFoundError: there is no sweep of the lease.
        """
        with SHIELD, self.engine.begin() as connection:
            if self.lease is not None:
                _check_lease(connection, self.lease)
            yield connection

    def rows(self, query: Select[Any]) -> list[RowMapping]:
        """Return all rows of a query."""
        with self.reading() as connection:
            return list(connection.execute(query).mappings())


def batches(ids: Iterable[Any], size: int = IDS_A_STATEMENT) -> Iterator[list[Any]]:
    """Yield the ids in lists that one statement can name."""
    rest = iter(ids)
    while batch := list(islice(rest, size)):
        yield batch


def check_sweep(connection: Connection, sweep_id: str) -> None:
    """Raise SweepNotFoundError if there is no such sweep."""
    if connection.scalar(select(tables.sweeps.c.id).where(tables.sweeps.c.id == sweep_id)) is None:
        raise SweepNotFoundError(f"no sweep {sweep_id}")


def _check_lease(connection: Connection, lease: Lease) -> None:
    sweeps = tables.sweeps.c
    query = select(sweeps.driver_attempt).where(sweeps.id == lease.sweep_id).with_for_update(read=True)
    attempt = connection.scalar(query)
    if attempt is None:
        raise SweepNotFoundError(f"no sweep {lease.sweep_id}")
    if attempt != lease.attempt:
        raise StaleAttemptError(
            f"{lease.sweep_id} is driven in attempt {attempt}; what attempt {lease.attempt} wrote was refused"
        )
