"""`meltpoint sync`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing

from service.clocks import now_ms
from service.commands.surroundings import make_home
from service.formats import counted, plain_reason
from service.ledgers import Waiting
from service.terminals import HomeFlag, stderr, working

PATIENCE_SECONDS = 3600.0


def sync(home: HomeFlag = None) -> None:
    """Send MLflow everything that it has not taken yet, of every sweep that no driver is at work on."""
    place, console = make_home(home), stderr()
    from service.ledgers import Ledger
    from service.runs.leases import mark_interrupted
    from service.terminals.outcome_views import waiting_lines
    from service.tracking import Sender
    from service.tracking.trackers import Tracker

    with closing(Ledger.open(place, clock=now_ms)) as ledger:
        mark_interrupted(ledger, place)
        before = ledger.outbox.count_unsent_at_rest()
        sender = Sender(ledger, "", lambda: Tracker(ledger, place), backlog_lock=place.backlog_lock).start()
        with working(console, "writing MLflow"):
            sender.finish(PATIENCE_SECONDS)
        left = ledger.outbox.count_unsent_at_rest()
        reasons = _merged([ledger.outbox.waiting(sweep_id) for sweep_id in ledger.outbox.sweeps_with_unsent()])
    console.print(f"sent {counted(before - left, 'message')} to {place.tracking_uri}", markup=False, soft_wrap=True)
    for line in waiting_lines(reasons):
        console.print(line, markup=False, soft_wrap=True)
    sys.exit(1 if left else 0)


def _merged(sweeps: Sequence[Sequence[Waiting]]) -> list[Waiting]:
    """Return what waits of all sweeps, each reason once."""
    by_reason: dict[str, list[Waiting]] = {}
    for group in (group for groups in sweeps for group in groups):
        by_reason.setdefault(plain_reason(group.error), []).append(group)
    return [
        Waiting(
            messages=sum(group.messages for group in groups),
            subjects=tuple(dict.fromkeys(subject for group in groups for subject in group.subjects)),
            error=groups[0].error,
        )
        for groups in by_reason.values()
    ]
