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
    from service.queues import order_sweeps

    sweeps = ledger.sweeps.list(states=[state for state in SweepState if state.is_under_way])
    order = order_sweeps(sweeps, ledger.users.list(), ledger.services.list(role="drivers"))
    places = {entry.sweep_id: entry for entry in order}
    entries = [_entry(sweep, places.get(sweep.id)) for sweep in sweeps if owner in (None, sweep.owner)]
    return sorted(entries, key=lambda entry: (entry.position or 0, entry.queued_at or 0, entry.sweep_id))


def read_nodes(ledger: Ledger) -> list[Json]:
    """Return the nodes that train for the service, as its pools of lanes described them last, by name."""
    described = [node for process in ledger.services.list(role="drivers") for node in process.status.get("nodes", ())]
    return sorted(described, key=lambda node: str(node["name"]))


def _entry(sweep: Sweep, place: Waiting | None) -> QueueEntry:
    return QueueEntry(
        sweep_id=sweep.id,
        name=sweep.name,
        owner=sweep.owner,
        state=sweep.state,
        priority=sweep.priority,
        slot_cap=sweep.slot_cap,
        position=None if place is None else place.position,
        reason=None if place is None else _reason(sweep, place),
        queued_at=sweep.queued_at,
    )


def _reason(sweep: Sweep, place: Waiting) -> str | None:
    """Return why a sweep waits. The drivers wrote the sweep's own reason; it is out of date if they cannot work now."""
    return place.reason if place.obstacle == "service" else sweep.waiting_for or place.reason
