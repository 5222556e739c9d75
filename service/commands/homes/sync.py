"""`meltpoint sync`."""

from __future__ import annotations

import sys
from contextlib import closing

from service.clocks import now_ms
from service.commands.surroundings import make_home
from service.formats import brief, counted
from service.terminals import HomeFlag, stderr, working

PATIENCE_SECONDS = 3600.0


def sync(home: HomeFlag = None) -> None:
    """Send MLflow everything that it has not taken yet, of every sweep that no driver is at work on."""
    place, console = make_home(home), stderr()
    from service.ledgers import Ledger
    from service.runs.leases import mark_interrupted
    from service.tracking import Sender
    from service.tracking.trackers import Tracker

    with closing(Ledger.open(place, clock=now_ms)) as ledger:
        mark_interrupted(ledger, place)
        before = ledger.outbox.count_unsent_at_rest()
        sender = Sender(ledger, "", lambda: Tracker(ledger, place), backlog_lock=place.backlog_lock).start()
        with working(console, "writing MLflow"):
            sender.finish(PATIENCE_SECONDS)
        left = ledger.outbox.count_unsent_at_rest()
    console.print(f"sent {counted(before - left, 'message')} to {place.tracking_uri}", markup=False, soft_wrap=True)
    if left:
        why = f": {brief(sender.last_error)}" if sender.last_error else ""
        console.print(f"{counted(left, 'message')} not sent yet{why}", markup=False, soft_wrap=True)
    sys.exit(1 if left else 0)
