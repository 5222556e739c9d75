"""The queue of a service, read from its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.ledgers import ServiceProcess, SweepState
from service.queues.limits import Limits
from service.queues.order import Submission, Waiting, order_queue

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["Queue", "find_problem", "read_queue"]

_WAITING = (SweepState.VALIDATING, SweepState.QUEUED)
_ACTIVE = tuple(state for state in SweepState if state.is_under_way and state not in _WAITING)


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The sweeps under way that users submitted, and those that wait, in the order in which they start."""

    active: tuple[Submission, ...]
    waiting: tuple[Waiting, ...]


def read_queue(ledger: Ledger, limits: Limits, *, problem: str | None = None) -> Queue:
    """Return the queue as it is now. problem: the reason why the service starts no sweep; see `find_problem`."""
    queued, active = (
        [Submission.from_sweep(sweep) for sweep in ledger.sweeps.list(states=states) if sweep.owner is not None]
        for states in (_WAITING, _ACTIVE)
    )
    users = {user.name: user for user in ledger.users.list()}
    waiting = order_queue(queued, active, users, limits, problem=problem)
    return Queue(active=tuple(sorted(active, key=lambda sweep: sweep.queued_at)), waiting=tuple(waiting))


def find_problem(processes: Sequence[ServiceProcess]) -> str | None:
    """Return the reason why no sweep can start; None if there is none.

    processes: those with the role `drivers` that were seen lately.
    """
    states = [process.status.get("state") for process in processes]
    if not states:
        return "no process drives sweeps of this ledger; start one with: meltpoint serve"
    if "ready" in states:
        return None
    if "failed" not in states:
        return "the service is starting"
    problems = [process.status.get("problem") for process in processes if process.status.get("state") == "failed"]
    return f"the service cannot run sweeps: {problems[0] or 'its log has the cause'}"
