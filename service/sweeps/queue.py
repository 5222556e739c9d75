"""The queue of a service: the sweeps under way, and those that wait, in the order of their start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.ledgers import Json, SweepState

if TYPE_CHECKING:
    from service.ledgers import Ledger, Sweep
    from service.queues import Waiting

__all__ = ["QueueEntry", "read_queue"]


@dataclass(frozen=True, kw_only=True)
class QueueEntry:
    """A sweep under way or waiting.

    owner: None for a sweep of `meltpoint run`. slot_cap: most trials at once, None for no limit.
    position: 1 for the sweep that starts next; None if it has started. reason: why it waits.
    queued_at: UTC milliseconds since 1970.
    """

    sweep_id: str
    name: str
    owner: str | None
    state: SweepState
    priority: int
    slot_cap: int | None
    position: int | None
    reason: str | None
    queued_at: int | None

    def as_json(self) -> Json:
        """Return the contract of `queue -o json`: one sweep."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"state": self.state.value}


def read_queue(ledger: Ledger, *, owner: str | None = None) -> list[QueueEntry]:
    """Return the sweeps under way, and then those that wait, in the order of their start.

    owner: the user whose sweeps are returned; None for all. Positions count the sweeps of all users.
    """
    from service.queues import Limits, Submission, order_queue

    waiting = (SweepState.VALIDATING, SweepState.QUEUED)
    sweeps = ledger.sweeps.list(states=[state for state in SweepState if state.is_under_way])
    submissions = {
        sweep.id: Submission(
            sweep_id=sweep.id, owner=sweep.owner or "", priority=sweep.priority, queued_at=sweep.queued_at or 0
        )
        for sweep in sweeps
    }
    order = order_queue(
        [submissions[sweep.id] for sweep in sweeps if sweep.state in waiting],
        [submissions[sweep.id] for sweep in sweeps if sweep.state not in waiting],
        {user.name: user for user in ledger.users.list()},
        Limits(),
    )
    places = {entry.sweep_id: entry for entry in order}
    entries = [_entry(sweep, places.get(sweep.id)) for sweep in sweeps if owner in (None, sweep.owner)]
    return sorted(entries, key=lambda entry: (entry.position or 0, entry.queued_at or 0, entry.sweep_id))


def _entry(sweep: Sweep, place: Waiting | None) -> QueueEntry:
    return QueueEntry(
        sweep_id=sweep.id,
        name=sweep.name,
        owner=sweep.owner,
        state=sweep.state,
        priority=sweep.priority,
        slot_cap=sweep.slot_cap,
        position=None if place is None else place.position,
        reason=sweep.waiting_for or (None if place is None else place.reason),
        queued_at=sweep.queued_at,
    )
