"""`meltpoint pause`, `stop` and `cancel`: asked of whoever drives the sweep, through the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

from service.commands.listing import open_ledger
from service.errors import UsageError
from service.ledgers import Sweep, SweepAction
from service.settings import Home
from service.terminals import working

HEEDED_SECONDS = 60.0

_MEANWHILE = {
    SweepAction.PAUSE: "running trials end at their next report",
    SweepAction.STOP: "running trials finish, no other starts",
    SweepAction.CANCEL: "running trials end at once",
}


def steer(reference: str, action: SweepAction, home: Home, console: Console) -> int:
    """Ask, and wait a minute to see it done; returns the exit code.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        UsageError: it has ended, or nothing runs that could be paused or stopped.
    """
    with open_ledger(home) as ledger:
        sweep = ledger.sweeps.find(reference)
        if sweep.state.is_finished or (sweep.state.rests and action is not SweepAction.CANCEL):
            raise UsageError(f"{sweep.id} is {sweep.state}: there is nothing to {action}")
        if sweep.state.rests:  # nobody drives it
            now = ledger.sweeps.cancel(sweep.id)
        else:
            ledger.sweeps.request_action(sweep.id, action)
            with working(console, _MEANWHILE[action]):
                now = _awaited(lambda: ledger.sweeps.get(sweep.id))
    said = f": {_MEANWHILE[action]}" if now.state.is_under_way else f" is {now.state}"
    console.print(f"{now.id}{said}", markup=False)
    if now.state.rests:
        console.print(f"next: meltpoint resume {now.id}", markup=False)
    return 0


def _awaited(look: Callable[[], Sweep]) -> Sweep:
    patience = time.monotonic() + HEEDED_SECONDS
    while (sweep := look()).state.is_under_way and time.monotonic() < patience:
        time.sleep(0.2)
    return sweep
