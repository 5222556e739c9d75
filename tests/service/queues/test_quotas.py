"""Checks of a submission against the limits of its user."""

from __future__ import annotations

import pytest

from service.errors import ForbiddenError, QuotaError
from service.ledgers import Role, User
from service.queues import Limits, check_priority, check_quota

ALICE = User(name="alice", role=Role.SUBMITTER, created_at=0, max_trials=100, max_sweeps=1, gpu_hours=0)


def test_a_submission_within_the_limits_passes_and_other_limits_make_it_wait_instead() -> None:
    check_quota(ALICE, waiting=3, trials=100, limits=Limits())


@pytest.mark.parametrize(("trials", "shown"), [(101, "101"), (None, "no limit")])
def test_too_many_trials_are_refused_with_the_command_that_raises_the_limit(trials: int | None, shown: str) -> None:
    with pytest.raises(ForbiddenError) as refusal:
        check_quota(ALICE, waiting=0, trials=trials, limits=Limits())
    assert str(refusal.value) == (
        f"budget.trials: {shown}; a sweep of alice may have at most 100 trials; "
        "an admin can raise this: meltpoint user set alice --max-trials N"
    )


def test_a_full_queue_asks_the_user_to_come_back() -> None:
    with pytest.raises(QuotaError, match="alice has 5 sweeps in the queue, and this service allows 5") as refusal:
        check_quota(ALICE, waiting=5, trials=10, limits=Limits(max_waiting=5))
    assert refusal.value.retry_after > 0


def test_only_an_admin_raises_a_priority_above_zero() -> None:
    check_priority(Role.SUBMITTER, 0)
    check_priority(Role.SUBMITTER, -5)
    check_priority(Role.ADMIN, 50)
    with pytest.raises(ForbiddenError, match="priority 1: only an admin can raise a priority above 0"):
        check_priority(Role.SUBMITTER, 1)


def test_a_submitter_may_keep_or_lower_a_priority_that_an_admin_raised() -> None:
    check_priority(Role.SUBMITTER, 5, present=10)
    with pytest.raises(ForbiddenError):
        check_priority(Role.SUBMITTER, 11, present=10)
