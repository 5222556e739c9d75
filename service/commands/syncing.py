"""`meltpoint sync`: what waits in the outbox, sent now."""

from __future__ import annotations

from contextlib import closing

from rich.console import Console

from service.clocks import now_ms
from service.formats import counted
from service.ledgers import Ledger
from service.runs.leases import mark_interrupted
from service.settings import Home
from service.terminals import brief, working
from service.tracking import Sender
from service.tracking.trackers import Tracker

PATIENCE_SECONDS = 3600.0


def sync(home: Home, console: Console) -> int:
    """Send it, oldest first; returns the exit code, 1 where something still waits."""
    with closing(Ledger.open(home, clock=now_ms)) as ledger:
        mark_interrupted(ledger, home)
        before = ledger.outbox.count_unsent_at_rest()
        sender = Sender(ledger, "", lambda: Tracker(ledger, home), backlog_lock=home.backlog_lock).start()
        with working(console, "writing MLflow"):
            sender.finish(PATIENCE_SECONDS)
        left = ledger.outbox.count_unsent_at_rest()
    console.print(f"sent {counted(before - left, 'message')} to {home.tracking_uri}", markup=False, soft_wrap=True)
    if left:
        why = f": {brief(sender.last_error)}" if sender.last_error else ""
        console.print(f"{counted(left, 'message')} still wait{why}", markup=False, soft_wrap=True)
    return 1 if left else 0
