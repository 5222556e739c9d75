"""Leases: the right of one process to drive a sweep."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from service.errors import LeaseError, SweepNotFoundError
from service.ledgers import tables
from service.ledgers.accounts.gpu_seconds import release_gpu
from service.ledgers.records import Lease
from service.ledgers.transactions import Transactions

__all__ = ["Leases"]

_SWEEPS = tables.sweeps.c


class Leases:
    """Gives a sweep's lease to one holder at a time, and counts the drivers that have had it.

    Thread safety: any thread or process may call; each call is one transaction.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def take(self, sweep_id: str, *, holder: str, seconds: float) -> Lease:
        """Become the sweep's driver, for `seconds` after each renewal.

        holder: the machine. Processes of one machine see by themselves, by a lock, whether another of them drives the
            sweep; a lease of the same holder is therefore free.

        Raises:
            SweepNotFoundError: there is no such sweep.
            LeaseError: another holder has the lease.
        """
        now = self._transactions.now()
        with self._transactions.writing() as connection:
            query = select(_SWEEPS.driver, _SWEEPS.lease_until, _SWEEPS.driver_attempt).where(_SWEEPS.id == sweep_id)
            row = connection.execute(query.with_for_update()).first()
            if row is None:
                raise SweepNotFoundError(f"no sweep {sweep_id}")
            driver, until, attempt = row
            if driver != holder and until is not None and until > now:
                raise LeaseError(
                    f"{sweep_id} is driven from {driver}, whose lease runs out in {(until - now) / 1000:.0f} s"
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

    def is_held_elsewhere(self, sweep_id: str, holder: str) -> bool:
        """Return whether another holder than `holder` has the lease now.

        Raises:
            SweepNotFoundError: there is no such sweep.
        """
        rows = self._transactions.rows(select(_SWEEPS.driver, _SWEEPS.lease_until).where(_SWEEPS.id == sweep_id))
        if not rows:
            raise SweepNotFoundError(f"no sweep {sweep_id}")
        until = rows[0]["lease_until"]
        return until is not None and until > self._transactions.now() and rows[0]["driver"] != holder


def _extend(connection: Connection, lease: Lease, now: int) -> None:
    connection.execute(
        update(tables.sweeps)
        .where(_SWEEPS.id == lease.sweep_id)
        .values(driver=lease.holder, driver_attempt=lease.attempt, lease_until=now + int(lease.seconds * 1000))
    )
