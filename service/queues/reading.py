"""The queue of a service, from the rows of its ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.ledgers import ServiceProcess, Sweep, SweepState, User
from service.queues.limits import Limits
from service.queues.order import Submission, Waiting, order_queue

__all__ = ["find_limits", "find_problem", "order_sweeps"]

_WAITING = (SweepState.VALIDATING, SweepState.QUEUED)


def order_sweeps(sweeps: Iterable[Sweep], users: Iterable[User], processes: Sequence[ServiceProcess]) -> list[Waiting]:
    """Return the sweeps that wait, in the order in which they start.

    Args:
        sweeps: all that are under way or wait. Those of `meltpoint run` have no owner, and are left out.
        users: all users.
        processes: those with the role `drivers` that were seen lately.
    """
    submitted = [sweep for sweep in sweeps if sweep.owner is not None]
    return order_queue(
        [Submission.from_sweep(sweep) for sweep in submitted if sweep.state in _WAITING],
        [Submission.from_sweep(sweep) for sweep in submitted if sweep.state not in _WAITING],
        {user.name: user for user in users},
        find_limits(processes),
        problem=find_problem(processes),
    )


def find_limits(processes: Iterable[ServiceProcess]) -> Limits:
    """Return the limits of a service: those of the process that lets most sweeps be under way at once.

    processes: those with the role `drivers` that were seen lately.
    """
    limits = [Limits.from_status(process.status) for process in processes]
    return max(limits, key=lambda entry: entry.max_active_sweeps, default=Limits())


def find_problem(processes: Sequence[ServiceProcess]) -> str | None:
    """Return the reason why no sweep can start; None if there is none.

    processes: those with the role `drivers` that were seen lately.
    """
    states = [process.status.get("state") for process in processes]
    if not states:
        return "no process drives sweeps of this ledger; its admin starts one with: meltpoint serve --role drivers"
    if "ready" in states:
        return None
    if "failed" not in states:
        return "the service is starting"
    problems = [process.status.get("problem") for process in processes if process.status.get("state") == "failed"]
    return f"the service cannot run sweeps: {problems[0] or 'its log has the cause'}"
