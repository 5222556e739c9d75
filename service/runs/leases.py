"""The lease and the lock of a sweep's one driver."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from service.errors import LeaseError, StaleAttemptError
from service.file_locks import try_lock
from service.ledgers import Lease, Ledger, Sweep, SweepState
from service.settings import Home

LEASE_SECONDS = 30.0
"""A driver that has not renewed its lease for so long may be replaced by a driver on another machine."""

_DRIVEN = tuple(state for state in SweepState if state.is_under_way and state is not SweepState.QUEUED)

log = logging.getLogger(__name__)


@contextmanager
def driving(home: Home, ledger: Ledger, sweep_id: str) -> Iterator[LeaseKeeper]:
    """Drive the sweep from this process while the context is entered.

    Raises:
        LeaseError: another process drives the sweep.
    """
    with try_lock(home.sweep(sweep_id) / "driver.lock") as ours:
        if not ours:
            raise LeaseError(f"{sweep_id} is driven by another process on this machine")
        keeper = LeaseKeeper(ledger, ledger.leases.take(sweep_id, holder=_here(), seconds=LEASE_SECONDS))
        keeper.start()
        try:
            yield keeper
        finally:
            keeper.close()


def _here() -> str:
    return socket.gethostname()[:255]


class LeaseKeeper:
    """Renews a lease three times in its length, from `start` to `close`; `lost` gives the reason once it cannot.

    The lease is lost as soon as another driver has taken it, or if it was not renewed for its whole length by the
    monotonic clock, whatever the wall clock shows.

    Ownership: borrows the ledger. Thread safety: renews from a thread of its own; `lost` may be read from any thread.

    Args:
        ledger: where the lease is kept.
        lease: a lease that was taken just now.
        clock: returns monotonic seconds.
        wait: waits until an event is set or seconds have passed, and returns whether the event is set.
    """

    def __init__(
        self,
        ledger: Ledger,
        lease: Lease,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self.lease = lease
        self.lost: str | None = None
        self._ledger, self._clock, self._wait = ledger, clock, wait
        self._renewed_at = clock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self.renew_until_closed, name="lease", daemon=True)

    def start(self) -> None:
        """Renew the lease from a thread from now on."""
        self._thread.start()

    def renew(self) -> None:
        """Renew the lease once, or note why it is lost."""
        asked_at = self._clock()  # the lease counts from the request, however long the database takes to answer
        try:
            self._ledger.leases.renew(self.lease)
            self._renewed_at = asked_at
        except StaleAttemptError as error:
            self.lost = str(error)
        except Exception as error:  # any error of the database: it may be back in time
            log.info("the lease was not renewed", exc_info=True)
            if self._clock() - self._renewed_at >= self.lease.seconds:
                self.lost = f"the lease on {self.lease.sweep_id} ran out: {type(error).__name__}: {error}"

    def renew_until_closed(self) -> None:
        """Renew the lease again and again, until `close` is called or the lease is lost."""
        while self.lost is None and not self._wait(self._closed, self.lease.seconds / 3):
            self.renew()

    def close(self) -> None:
        """Stop renewing, and give the lease up unless it is lost."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.lost is None:
            try:
                self._ledger.leases.give_up(self.lease)
            except DBAPIError:  # the lease runs out by itself
                log.info("the lease was not given up", exc_info=True)


def mark_interrupted(ledger: Ledger, home: Home) -> list[Sweep]:
    """Move every sweep that is under way, but that no process drives, to `interrupted`; return these sweeps."""
    interrupted = []
    for sweep in ledger.sweeps.list(states=_DRIVEN):
        if sweep.state is SweepState.VALIDATING and sweep.owner is not None:
            continue  # the supervisor of a service starts a driver for it
        with try_lock(home.sweep(sweep.id) / "driver.lock") as free:
            if free and not ledger.leases.is_held_elsewhere(sweep.id, _here()):
                reason = "the process that drove it ended"
                interrupted.append(ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED, error=reason))
    return interrupted
