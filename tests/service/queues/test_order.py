"""The order in which queued sweeps start, and the reasons of waiting."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ledgers import Role, User
from service.queues import Limits, Obstacle, Submission, next_to_start, order_queue


def user(name: str, **limits: Any) -> User:
    return User(name=name, role=Role.SUBMITTER, created_at=0, **limits)


def users(*records: User) -> dict[str, User]:
    return {record.name: record for record in records}


def sweeps(owner: str, count: int, *, priority: int = 0, queued_at: int = 0) -> list[Submission]:
    return [
        Submission(sweep_id=f"s-{owner}-{number}", owner=owner, priority=priority, queued_at=queued_at + number)
        for number in range(count)
    ]


def test_a_sweep_with_a_free_place_starts_and_has_no_reason_to_wait() -> None:
    (entry,) = order_queue(sweeps("alice", 1), [], {}, Limits())
    assert (entry.position, entry.obstacle, entry.reason) == (1, None, None)
    assert next_to_start([entry]) == ["s-alice-0"]


def test_without_a_place_a_sweep_names_the_limit_of_the_service() -> None:
    (entry,) = order_queue(sweeps("alice", 1), sweeps("bob", 12), {}, Limits())
    assert entry.obstacle is Obstacle.PLACE
    assert entry.reason == "waits for a place: 12 sweeps are under way, the limit of this service"
    assert next_to_start([entry]) == []


def test_a_user_at_the_limit_of_sweeps_waits_and_holds_up_nobody() -> None:
    queued = sweeps("alice", 2) + sweeps("bob", 1, queued_at=50)
    waiting = order_queue(queued, sweeps("alice", 1), users(user("alice", max_sweeps=2)), Limits())
    assert next_to_start(waiting) == ["s-bob-0", "s-alice-0"]
    assert waiting[2].reason == "waits for alice: 2 of 2 sweeps of this user are under way"


def test_spent_gpu_hours_name_the_command_that_raises_them() -> None:
    alice = user("alice", gpu_hours=4, gpu_seconds_used=4 * 3600.0)
    (entry,) = order_queue(sweeps("alice", 1), [], users(alice), Limits())
    assert entry.reason == (
        "alice has used 4.0 of 4 GPU hours; an admin can raise them: meltpoint user set alice --gpu-hours N"
    )


def test_reserved_gpu_hours_count_as_used() -> None:
    alice = user("alice", gpu_hours=4, gpu_seconds_used=3 * 3600.0, gpu_seconds_reserved=3600.0)
    (entry,) = order_queue(sweeps("alice", 1), [], users(alice), Limits())
    assert entry.obstacle is Obstacle.GPU_HOURS
    assert "used 3.0 of 4 GPU hours and reserved 1.0 for running trials" in (entry.reason or "")


def test_a_disabled_user_starts_nothing() -> None:
    (entry,) = order_queue(sweeps("alice", 1), [], users(user("alice", disabled_at=1)), Limits())
    assert entry.obstacle is Obstacle.DISABLED


def test_a_problem_of_the_service_is_the_reason_of_every_sweep() -> None:
    waiting = order_queue(sweeps("alice", 3), [], {}, Limits(), problem="the service is starting")
    assert {entry.reason for entry in waiting} == {"the service is starting"}
    assert next_to_start(waiting) == []


def test_users_take_turns_however_many_sweeps_one_has_queued_before() -> None:
    queued = sweeps("alice", 10) + sweeps("bob", 1, queued_at=100)
    waiting = order_queue(queued, sweeps("alice", 12), {}, Limits())
    assert waiting[0].owner == "bob"


def test_a_user_of_twice_the_weight_starts_twice_as_many() -> None:
    queued = sweeps("alice", 20) + sweeps("bob", 20)
    waiting = order_queue(queued, [], users(user("alice", weight=2.0)), Limits(max_active_sweeps=12))
    first = [entry.owner for entry in waiting[:12]]
    assert (first.count("alice"), first.count("bob")) == (8, 4)


def test_a_higher_priority_comes_first_whoever_owns_it() -> None:
    queued = sweeps("bob", 2) + sweeps("alice", 2, priority=5, queued_at=100)
    assert [entry.owner for entry in order_queue(queued, sweeps("alice", 3), {}, Limits())][:2] == ["alice", "alice"]


def test_limits_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="max_active_sweeps must be >= 1, not 0"):
        Limits(max_active_sweeps=0)


SUBMISSIONS = st.lists(
    st.builds(
        Submission,
        sweep_id=st.integers(0, 10**6).map("s-{}".format),
        owner=st.sampled_from(["alice", "bob", "carol"]),
        priority=st.integers(-1, 1),
        queued_at=st.integers(0, 5),
    ),
    max_size=30,
    unique_by=lambda sweep: sweep.sweep_id,
)
USERS = st.fixed_dictionaries(
    {},
    optional={
        name: st.builds(user, st.just(name), weight=st.floats(0.5, 4), max_sweeps=st.none() | st.integers(0, 4))
        for name in ("alice", "bob", "carol")
    },
)


@given(queued=SUBMISSIONS, active=SUBMISSIONS, accounts=USERS, places=st.integers(1, 12), order=st.randoms())
def test_the_order_is_the_same_whatever_the_order_of_the_rows(
    queued: list[Submission], active: list[Submission], accounts: dict[str, User], places: int, order: object
) -> None:
    limits = Limits(max_active_sweeps=places)
    mixed, users_mixed = list(queued), list(accounts.items())
    order.shuffle(mixed)  # type: ignore[attr-defined]
    order.shuffle(users_mixed)  # type: ignore[attr-defined]
    assert order_queue(queued, active, accounts, limits) == order_queue(mixed, active, dict(users_mixed), limits)


@given(queued=SUBMISSIONS, active=SUBMISSIONS, accounts=USERS, places=st.integers(1, 12))
def test_no_limit_is_passed_and_no_place_stays_empty(
    queued: list[Submission], active: list[Submission], accounts: dict[str, User], places: int
) -> None:
    waiting = order_queue(queued, active, accounts, Limits(max_active_sweeps=places))
    started = [entry.owner for entry in waiting if entry.obstacle is None]
    owners = [sweep.owner for sweep in active]
    assert sorted(entry.sweep_id for entry in waiting) == sorted(sweep.sweep_id for sweep in queued)
    assert [entry.position for entry in waiting] == list(range(1, len(queued) + 1))
    assert not started or len(started) + len(active) <= places
    for entry in waiting:
        most = accounts[entry.owner].max_sweeps if entry.owner in accounts else None
        under_way = started.count(entry.owner) + owners.count(entry.owner)
        assert most is None or entry.obstacle is not None or under_way <= most
        if entry.obstacle is Obstacle.PLACE:
            assert len(started) + len(active) >= places
        if entry.obstacle is Obstacle.USER_LIMIT:
            assert most is not None
            assert under_way >= most


@given(queued=SUBMISSIONS, active=SUBMISSIONS)
def test_without_limits_of_users_priority_is_strict(queued: list[Submission], active: list[Submission]) -> None:
    priorities = [entry.priority for entry in order_queue(queued, active, {}, Limits())]
    assert priorities == sorted(priorities, reverse=True)
