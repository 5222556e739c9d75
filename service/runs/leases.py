"""The lease and the lock of a sweep's one driver."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from service.errors import LeaseError, StaleAttemptError
from service.file_locks import try_lock
from service.ledgers import Lease, Ledger, Sweep, SweepState
from service.settings import Home

LEASE_SECONDS = 30.0
"""A driver that has not renewed its lease for so long may be replaced by a driver on another machine."""

DRIVER_ENDED = "the process that drove it ended"
"""The reason that an interrupted sweep gives if its driver died."""

_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 5, 0.02

_DRIVEN = tuple(state for state in SweepState if state.is_under_way and state is not SweepState.QUEUED)

log = logging.getLogger(__name__)


@contextmanager
def driving(home: Home, ledger: Ledger, sweep_id: str) -> Iterator[LeaseKeeper]:
    """Drive the sweep from this process while the context is entered.

    The holder of the lease is a random id. The sweep's lock file in the home contains it, so that other processes with
    this home see at once that the holder is dead: as soon as they can lock the file.

    Raises:
        LeaseError: another process drives the sweep.
    """
    lock_file, holder = _lock_file(home, sweep_id), secrets.token_hex(8)
    with _patient_lock(lock_file) as is_mine:
        if not is_mine:
            raise LeaseError(
                f"{sweep_id} is driven by another process on this machine; to follow it: meltpoint watch {sweep_id}"
            )
        dead = _read_holder(lock_file)  # the lock is free, so its process is no more
        lease = ledger.leases.take(sweep_id, holder=holder, seconds=LEASE_SECONDS, replacing=dead)
        lock_file.write_text(holder, encoding="utf-8")
        keeper = LeaseKeeper(ledger, lease)
        keeper.start()
        try:
            yield keeper
        finally:
            keeper.close()


def _lock_file(home: Home, sweep_id: str) -> Path:
    return home.sweep(sweep_id) / "driver.lock"


def _read_holder(lock_file: Path) -> str | None:
    """Return the holder named in a lock file; None if there is no file, or an empty one of an older version."""
    try:
        return lock_file.read_text(encoding="utf-8") or None
    except FileNotFoundError:
        return None


@contextmanager
def _patient_lock(lock_file: Path) -> Iterator[bool]:
    """Lock the file as `try_lock` does; try again for a moment, because another process may look if it is free."""
    for _ in range(_LOCK_TRIES - 1):
        with try_lock(lock_file) as is_mine:
            if is_mine:
                yield True
                return
        time.sleep(_LOCK_PAUSE_SECONDS)
    with try_lock(lock_file) as is_mine:
        yield is_mine


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
    """Interrupt every sweep that is under way although its driver is dead; return these sweeps.

    A driver is dead if its lease has run out, or if its lock file in this home is free. A driver with another home is
    never taken for dead before its lease has run out.
    """
    interrupted = []
    for sweep_id, holder in ledger.leases.holders(_DRIVEN).items():
        dead = holder if holder is not None and _is_dead(_lock_file(home, sweep_id), holder) else None
        if holder is None or dead is not None:
            sweep = ledger.sweeps.interrupt_if_undriven(sweep_id, dead=dead, error=DRIVER_ENDED)
            interrupted += [] if sweep is None else [sweep]
    return interrupted


def _is_dead(lock_file: Path, holder: str) -> bool:
    """Return whether the holder had this home, and its process is no more."""
    if _read_holder(lock_file) != holder:
        return False
    with try_lock(lock_file) as is_free:
        return is_free
