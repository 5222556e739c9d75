"""Pause, stop and cancel: requests to the driver of a sweep, through the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from service.errors import UsageError
from service.ledgers import Sweep, SweepAction

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["request_action", "wait_until_at_rest"]

LOOK_SECONDS = 0.2


def request_action(ledger: Ledger, reference: str, action: SweepAction) -> Sweep:
    """Ask a sweep's driver for an action, and return the sweep as it stands then, without waiting.

    A sweep that is paused or interrupted has no driver: a request to cancel it is carried out at once.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        UsageError: the sweep has ended, or nothing runs that could be paused or stopped.
    """
    sweep = ledger.sweeps.find(reference)
    if sweep.state.is_finished or (sweep.state.rests and action is not SweepAction.CANCEL):
        raise UsageError(f"{sweep.id} is {sweep.state}: there is nothing to {action}")
    if sweep.state.rests:
        return ledger.sweeps.cancel(sweep.id)
    ledger.sweeps.request_action(sweep.id, action)
    return ledger.sweeps.get(sweep.id)


def wait_until_at_rest(
    get: Callable[[str], Sweep],
    sweep_id: str,
    *,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Sweep:
    """Return the sweep as soon as no driver is at work on it, or as it stands after `seconds`.

    get: returns the sweep of an id as it stands.
    """
    deadline = clock() + seconds
    while (sweep := get(sweep_id)).state.is_under_way and clock() < deadline:
        sleep(LOOK_SECONDS)
    return sweep
