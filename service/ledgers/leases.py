"""Leases: the right of one process to drive a sweep."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, Label, case, select, update

from service.errors import LeaseError
from service.ledgers import tables
from service.ledgers.accounts.gpu_seconds import release_gpu
from service.ledgers.records import Lease, SweepState
from service.ledgers.sweep_rows import unknown_sweep
from service.ledgers.transactions import Transactions

__all__ = ["Leases"]

_SWEEPS = tables.sweeps.c


class Leases:
    """Gives a sweep's lease to one holder at a time, and counts the drivers that have had it.

    Thread safety: any thread or process may call; each call is one transaction.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def take(self, sweep_id: str, *, holder: str, seconds: float, replacing: str | None = None) -> Lease:
        """Become the sweep's driver, for `seconds` after each renewal.

        holder: the random id of this process. replacing: a holder that is known to be dead, whose lease is free.

        Raises:
            SweepNotFoundError: there is no such sweep.
            LeaseError: another holder has the lease.
        """
        now = self._transactions.now()
        with self._transactions.writing() as connection:
            query = select(_SWEEPS.driver, _SWEEPS.lease_until, _SWEEPS.driver_attempt).where(_SWEEPS.id == sweep_id)
            row = connection.execute(query.with_for_update()).first()
            if row is None:
                raise unknown_sweep(sweep_id)
            driver, until, attempt = row
            if until is not None and until > now and driver not in (holder, replacing):
                raise LeaseError(
                    f"{sweep_id} is driven by another process, whose lease runs out in {(until - now) / 1000:.0f} s"
                )
            lease = Lease(sweep_id=sweep_id, holder=holder, attempt=attempt + 1, seconds=seconds)
            _extend(connection, lease, now)
            release_gpu(connection, sweep_id)  # that of the driver before, which never settled it
        return lease

    def renew(self, lease: Lease) -> None:
        """Extend the lease by its seconds from now.

        Raises:
            StaleAttemptError: another driver has taken the lease.
        """
        guarded = Transactions(self._transactions.engine, self._transactions.now, lease)
        with guarded.writing() as connection:
            _extend(connection, lease, guarded.now())

    def give_up(self, lease: Lease) -> None:
        """Let another driver begin at once; do nothing if one has begun already."""
        mine = (_SWEEPS.id == lease.sweep_id) & (_SWEEPS.driver_attempt == lease.attempt)
        with self._transactions.writing() as connection:
            connection.execute(update(tables.sweeps).where(mine).values(lease_until=None))

    def holder(self, sweep_id: str) -> str | None:
        """Return the holder of the sweep's lease; None if the lease is free or has run out.

        Raises:
            SweepNotFoundError: there is no such sweep.
        """
        rows = self._transactions.rows(select(self._live_holder()).where(_SWEEPS.id == sweep_id))
        if not rows:
            raise unknown_sweep(sweep_id)
        holder: str | None = rows[0]["holder"]
        return holder

    def holders(self, states: Collection[SweepState]) -> dict[str, str | None]:
        """Return the holder of the lease of every sweep in these states; None if a lease is free or has run out."""
        in_states = _SWEEPS.state.in_([state.value for state in states])
        rows = self._transactions.rows(select(_SWEEPS.id, self._live_holder()).where(in_states))
        return {row["id"]: row["holder"] for row in rows}

    def _live_holder(self) -> Label[str | None]:
        return case((_SWEEPS.lease_until > self._transactions.now(), _SWEEPS.driver), else_=None).label("holder")


def _extend(connection: Connection, lease: Lease, now: int) -> None:
    connection.execute(
        update(tables.sweeps)
        .where(_SWEEPS.id == lease.sweep_id)
        .values(driver=lease.holder, driver_attempt=lease.attempt, lease_until=now + int(lease.seconds * 1000))
    )
