"""Who drives a sweep: one process, which holds its lease, and a lock for as long as it lives."""

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

log = logging.getLogger(__name__)


@contextmanager
def driving(home: Home, ledger: Ledger, sweep_id: str) -> Iterator[LeaseKeeper]:
    """This process drives the sweep while entered. Raises LeaseError where another does."""
    with try_lock(home.sweep(sweep_id) / "driver.lock") as ours:
        if not ours:
            raise LeaseError(f"{sweep_id} is driven by another process on this machine")
        keeper = LeaseKeeper(ledger, ledger.take_lease(sweep_id, holder=_here(), seconds=LEASE_SECONDS))
        try:
            yield keeper
        finally:
            keeper.close()


def _here() -> str:
    return socket.gethostname()[:255]


class LeaseKeeper:
    """Renews a lease from a thread of its own, until `close`; once it cannot, `lost` says why.

    It goes by the monotonic clock: a lease that was not renewed for its whole time is lost, whatever the wall clock
    says.
    """

    def __init__(self, ledger: Ledger, lease: Lease, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.lease = lease
        self.lost: str | None = None
        self._ledger, self._clock, self._renewed = ledger, clock, clock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def renew(self) -> None:
        """Try once; notes the loss."""
        try:
            self._ledger.renew_lease(self.lease)
            self._renewed = self._clock()
        except StaleAttemptError as error:
            self.lost = str(error)
        except Exception as error:  # whatever the database raises: it may be back in time
            log.info("the lease was not renewed", exc_info=True)
            if self._clock() - self._renewed >= self.lease.seconds:
                self.lost = f"the lease on {self.lease.sweep_id} ran out: {type(error).__name__}: {error}"

    def close(self) -> None:
        """Give the lease up, unless it is lost."""
        self._closed.set()
        self._thread.join()
        if self.lost is None:
            try:
                self._ledger.give_up_lease(self.lease)
            except DBAPIError:  # it runs out by itself
                log.info("the lease was not given up", exc_info=True)

    def _keep(self) -> None:
        while not self._closed.wait(self.lease.seconds / 3) and self.lost is None:
            self.renew()


def mark_interrupted(ledger: Ledger, home: Home) -> list[Sweep]:
    """Sweeps that the ledger believes under way although no process drives them: they are interrupted from now on."""
    found = []
    for sweep in ledger.sweeps():
        if not sweep.state.is_under_way or sweep.state is SweepState.QUEUED:
            continue
        with try_lock(home.sweep(sweep.id) / "driver.lock") as free:
            if free and not ledger.held_elsewhere(sweep.id, _here()):
                reason = "the process that drove it ended"
                found.append(ledger.move_sweep(sweep.id, SweepState.INTERRUPTED, error=reason))
    return found
