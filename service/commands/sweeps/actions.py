"""The common part of `meltpoint pause`, `stop` and `cancel`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from service.commands.surroundings import open_requests
from service.terminals import print_next, stderr, working

WAIT_SECONDS: Final = 60.0

_MEANWHILE: Final = {
    "pause": "running trials end at their next report",
    "stop": "running trials finish, no other trial starts",
    "cancel": "running trials end at once",
}


def ask_and_wait(reference: str, action: str, context: str | None, home: Path | None) -> None:
    """Ask for the action, wait up to a minute until it is done, and print how the sweep stands."""
    from service.ledgers import SweepAction, TrialPhase
    from service.sweeps import wait_until_at_rest

    console = stderr()
    with open_requests(context, home) as requests:
        sweep = requests.act(reference, SweepAction(action))
        with working(console, _MEANWHILE[action]):
            sweep = wait_until_at_rest(requests.find, sweep.id, seconds=WAIT_SECONDS)
    confirms = sweep.phase is TrialPhase.CONFIRM
    reason = f": {sweep.error}" if confirms and sweep.error else ""
    result = f": {_MEANWHILE[action]}" if sweep.state.is_under_way else f" is {sweep.state}{reason}"
    console.print(f"{sweep.id}{result}", markup=False, soft_wrap=True)
    if sweep.state.rests:
        print_next("resume", sweep.id)
    elif confirms and sweep.state.is_finished:
        print_next("confirm", sweep.id)
