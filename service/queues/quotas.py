"""Checks of a submission against the limits of its user, before it is accepted."""

from __future__ import annotations

from service.errors import ForbiddenError, QuotaError
from service.ledgers import Role, User
from service.queues.limits import Limits

__all__ = ["PRIORITIES", "check_priority", "check_quota", "check_trials"]

PRIORITIES = range(-100, 101)
"""The priorities that a sweep may have."""

_RETRY_SECONDS = 60.0


def check_quota(user: User, *, waiting: int, trials: int | None, limits: Limits) -> None:
    """Check whether the user may submit another sweep.

    Used-up GPU hours and too many sweeps under way are no errors: the sweep waits in the queue.

    Args:
        user: who submits.
        waiting: sweeps of the user that wait already.
        trials: the sweep's `budget.trials`; None if another budget limits it.
        limits: limits of the service.

    Raises:
        QuotaError: the user has too many sweeps in the queue.
        ForbiddenError: the sweep may have more trials than the user's sweeps may.
    """
    check_trials(user, trials)
    if waiting >= limits.max_waiting:
        raise QuotaError(
            f"{user.name} has {waiting} sweeps in the queue, and this service allows {limits.max_waiting}; "
            "submit again when some of them have started",
            retry_after=_RETRY_SECONDS,
        )


def check_trials(user: User, trials: int | None) -> None:
    """Check whether a sweep of the user may have so many trials; None if another budget limits it.

    Raises:
        ForbiddenError: it may not.
    """
    if user.max_trials is not None and (trials is None or trials > user.max_trials):
        raise ForbiddenError(
            f"budget.trials: {'no limit' if trials is None else trials}; a sweep of {user.name} may have "
            f"at most {user.max_trials} trials; an admin can raise this: meltpoint user set {user.name} --max-trials N"
        )


def check_priority(role: Role, priority: int, *, present: int = 0, sweep_id: str | None = None) -> None:
    """Check whether a user of that role may give a sweep of priority `present` another priority.

    A higher priority takes the workers of everybody else, so that only an admin may raise it above 0. Everybody may
    lower the priority of their own sweeps.

    sweep_id: of the sweep, if it has been accepted already.

    Raises:
        ForbiddenError: the priority is above 0 and above the present one.
    """
    if priority > max(0, present) and not role.includes(Role.ADMIN):
        first = "" if sweep_id else "submit without --priority, and then "
        raise ForbiddenError(
            f"priority {priority}: only an admin can raise a priority above 0; {first}ask an admin, who types: "
            f"meltpoint change {sweep_id or 'SWEEP'} --priority {priority}"
        )
