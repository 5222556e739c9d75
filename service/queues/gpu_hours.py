"""Reservations of GPU hours: a trial's next stretch is reserved before it is spent, and settled at each report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from service.errors import UserNotFoundError
from service.queues.order import gpu_hours_spent

if TYPE_CHECKING:
    from service.ledgers import Ledger, Sweep

__all__ = ["FIRST_STRETCH", "GpuAccount", "GpuReservations", "LedgerGpuAccount", "make_gpu_reservations"]

FIRST_STRETCH = 60.0
"""Seconds that a sweep's first stretch is assumed to last, from a trial's start or report to its next report."""

_SHORTEST = 10.0
_HEADROOM = 1.5
"""Factor of the longest stretch so far that is reserved as long as enough is left."""


class GpuAccount(Protocol):
    """A user's GPU seconds, as far as one sweep uses them."""

    def reserve(self, seconds: float) -> bool:
        """Reserve GPU seconds; return False, and reserve nothing, if too few are left."""

    def settle(self, reserved: float, used: float) -> None:
        """Give reserved GPU seconds back, and charge for those that were used."""

    def describe(self) -> str:
        """Return how much is used, in a sentence that says what helps."""


class LedgerGpuAccount:
    """The account of a sweep's owner in the ledger.

    ledger: that of the sweep's driver, with its lease, so that a driver which was replaced changes nothing.
    """

    def __init__(self, ledger: Ledger, sweep: Sweep) -> None:
        assert sweep.owner is not None, sweep.id
        self._users, self._owner, self._sweep_id = ledger.users, sweep.owner, sweep.id

    def reserve(self, seconds: float) -> bool:
        """Reserve GPU seconds; return False, and reserve nothing, if too few are left."""
        return self._users.reserve_gpu(self._owner, seconds, sweep_id=self._sweep_id)

    def settle(self, reserved: float, used: float) -> None:
        """Give reserved GPU seconds back, and charge for those that were used."""
        self._users.settle_gpu(self._owner, reserved, used, sweep_id=self._sweep_id)

    def describe(self) -> str:
        """Return how much the owner has used, in a sentence that says what helps."""
        return gpu_hours_spent(self._users.get(self._owner))


class GpuReservations:
    """Reserves GPU time for the trials of one sweep.

    A stretch is assumed to last no longer than the longest so far. Trials that report later than assumed may pass the
    limit, each by the part of one stretch that was not reserved.
    If the process dies, what it had reserved stands in the ledger for its sweep, and is released there: once the
    sweep is no longer under way, or when the next driver takes the lease.

    Ownership: borrows the account. Thread safety: none; one thread calls, or callers lock.

    Args:
        account: the account that pays.
        gpus: GPUs of one trial, which may be a fraction. At 0 nothing is reserved and every answer is True.
    """

    def __init__(self, account: GpuAccount, *, gpus: float) -> None:
        self._account, self._gpus = account, gpus
        self._reserved: dict[str, float] = {}
        self._longest = 0.0

    def reserve(self, trial_id: str) -> bool:
        """Reserve the next stretch of a trial; return whether it may train.

        If too little is left for a generous stretch, one without headroom is tried, so that little is left unused.
        """
        if self._gpus <= 0:
            return True
        assert trial_id not in self._reserved, trial_id
        generous = self._longest * _HEADROOM if self._longest else FIRST_STRETCH
        for stretch in dict.fromkeys(max(_SHORTEST, seconds) for seconds in (generous, self._longest)):
            if self._account.reserve(stretch * self._gpus):
                self._reserved[trial_id] = stretch * self._gpus
                return True
        return False

    def settle(self, trial_id: str, seconds: float) -> bool:
        """Charge for the stretch that ends with a report, and reserve the next; return whether the trial may go on.

        seconds: length of the stretch. If the answer is False, the trial is to pause at this report.
        """
        if self._gpus <= 0:
            return True
        self.release(trial_id, seconds)
        return self.reserve(trial_id)

    def release(self, trial_id: str, seconds: float) -> None:
        """Charge for the trial's last stretch of `seconds`, and give back what it had reserved beyond that."""
        if self._gpus > 0 and (seconds > 0 or trial_id in self._reserved):
            self._longest = max(self._longest, seconds)
            self._account.settle(self._reserved.pop(trial_id, 0.0), seconds * self._gpus)

    def describe(self) -> str:
        """Return how much is used, in a sentence that says what helps."""
        return self._account.describe()


def make_gpu_reservations(ledger: Ledger, sweep: Sweep, *, gpus: float) -> GpuReservations | None:
    """Return the reservations of a sweep whose trials take `gpus` each; None if no user pays for them.

    ledger: that of the sweep's driver, with its lease.
    """
    if sweep.owner is None or gpus <= 0:
        return None
    try:
        ledger.users.get(sweep.owner)
    except UserNotFoundError:
        return None
    return GpuReservations(LedgerGpuAccount(ledger, sweep), gpus=gpus)
