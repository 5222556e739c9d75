"""Properties of the shares over long simulated runs, with trials from 0.1 s to minutes."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.service.queues.simulation import Pool, SimulatedSweep, Trial

MANY = 10**6
TURN = 30.0
"""Seconds for which a user has a lane in turn: two quanta, and the time until the next report."""


def probe(source: random.Random) -> Trial:
    """Last 0.1 to 1 s."""
    return Trial(source.uniform(0.05, 0.2), source.randint(2, 5))


def training(source: random.Random) -> Trial:
    """Last 5 s to 5 min, with a report every 1 to 10 s."""
    return Trial(source.uniform(1, 10), source.randint(5, 30))


def either(source: random.Random) -> Trial:
    return source.choice([probe, training])(source)


MAKERS = st.sampled_from([probe, training, either])
MakeTrial = Callable[[random.Random], Trial]


@settings(deadline=None, max_examples=20)
@given(lanes=st.integers(1, 8), many=MAKERS, single=MAKERS, passed_on=st.booleans(), seed=st.integers(0, 10**6))
def test_equal_users_share_in_five_minutes_also_with_ten_sweeps_against_one(
    lanes: int, many: MakeTrial, single: MakeTrial, passed_on: bool, seed: int
) -> None:
    sweeps = [SimulatedSweep(f"a{number}", "alice", MANY, many) for number in range(10)]
    pool = Pool(lanes, [*sweeps, SimulatedSweep("b", "bob", MANY, single)], seed=seed)
    pool.passes_lanes_on = passed_on
    pool.run(300)
    used = pool.by_owner()
    assert 0.4 <= used["bob"] / sum(used.values()) <= 0.6


@settings(deadline=None, max_examples=15)
@given(
    lanes=st.integers(1, 8),
    weights=st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=2, max_size=4),
    makers=st.lists(MAKERS, min_size=4, max_size=4),
    seed=st.integers(0, 10**6),
)
def test_weights_are_met_within_ten_percent_and_one_turn(
    lanes: int, weights: list[float], makers: list[MakeTrial], seed: int
) -> None:
    sweeps = [
        SimulatedSweep(f"s{number}", f"user{number}", MANY, makers[number], weight=weight)
        for number, weight in enumerate(weights)
    ]
    pool = Pool(lanes, sweeps, seed=seed)
    pool.run(2000)
    used = pool.by_owner()
    for number, weight in enumerate(weights):
        entitled = sum(used.values()) * weight / sum(weights)
        assert used[f"user{number}"] == pytest.approx(entitled, rel=0.1, abs=TURN)


@settings(deadline=None, max_examples=40)
@given(
    lanes=st.integers(1, 4),
    users=st.integers(2, 5),
    makers=st.lists(MAKERS, min_size=5, max_size=5),
    seed=st.integers(0, 10**6),
)
def test_every_user_gets_a_lane_within_a_bound(lanes: int, users: int, makers: list[MakeTrial], seed: int) -> None:
    """Each of the others may be two quanta and two reports ahead before it yields."""
    sweeps = [
        SimulatedSweep(f"s{number}", f"user{number}", MANY, makers[number], begins=7.0 * number)
        for number in range(users)
    ]
    pool = Pool(lanes, sweeps, seed=seed)
    pool.run(600)
    assert max(pool.longest_wait.values()) <= (users - 1) * 2 * (10 + 10)


@settings(deadline=None, max_examples=40)
@given(lanes=st.integers(1, 6), makers=st.lists(MAKERS, min_size=3, max_size=3), seed=st.integers(0, 10**6))
def test_priority_is_strict_after_one_report(lanes: int, makers: list[MakeTrial], seed: int) -> None:
    low = [SimulatedSweep(f"low{number}", "alice", MANY, makers[number]) for number in range(2)]
    high = SimulatedSweep("high", "bob", MANY, makers[2], priority=1, begins=50)
    pool = Pool(lanes, [*low, high], seed=seed)

    def check(pool: Pool) -> None:
        if pool.now > 50 + 10:
            assert high.running == lanes

    pool.after = check
    pool.run(200)


@settings(deadline=None, max_examples=40)
@given(lanes=st.integers(2, 8), cap=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_a_cap_that_is_lowered_holds_after_one_report(lanes: int, cap: int, seed: int) -> None:
    sweep, other = SimulatedSweep("a", "alice", MANY, either), SimulatedSweep("b", "bob", 3, either)
    pool = Pool(lanes, [sweep, other], seed=seed)

    def check(pool: Pool) -> None:
        if pool.now >= 60 and sweep.slot_cap is None:
            sweep.slot_cap = cap
        if pool.now > 71:
            assert sweep.running <= cap

    pool.after = check
    pool.run(150)
    assert sweep.running == min(cap, lanes - other.running)


@settings(deadline=None, max_examples=40)
@given(lanes=st.integers(2, 8), limit=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_a_user_never_has_more_lanes_than_the_limit(lanes: int, limit: int, seed: int) -> None:
    sweeps = [SimulatedSweep(f"a{number}", "alice", MANY, either, max_slots=limit) for number in range(3)]
    pool = Pool(lanes, sweeps, seed=seed)

    def check(_pool: Pool) -> None:
        assert sum(sweep.running for sweep in sweeps) <= limit

    pool.after = check
    pool.run(60)
    assert sum(sweep.running for sweep in sweeps) == min(limit, lanes)


@settings(deadline=None, max_examples=40)
@given(
    lanes=st.integers(1, 6),
    sweeps=st.lists(
        st.builds(
            SimulatedSweep,
            st.integers(0, 99).map("s{}".format),
            st.sampled_from(["alice", "bob", "carol"]),
            st.integers(0, 30),
            MAKERS,
            priority=st.integers(0, 1),
            slot_cap=st.none() | st.integers(1, 3),
            begins=st.floats(0, 100),
            parallel=st.integers(1, 5),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda sweep: sweep.name,
    ),
    seed=st.integers(0, 10**6),
)
def test_no_lane_idles_while_a_sweep_may_use_it_and_every_trial_is_trained(
    lanes: int, sweeps: list[SimulatedSweep], seed: int
) -> None:
    pool = Pool(lanes, sweeps, seed=seed)

    def check(pool: Pool) -> None:
        for sweep in sweeps:
            may_grow = sweep.wanted(pool.now) and (sweep.slot_cap is None or sweep.running < sweep.slot_cap)
            assert pool.free == 0 or not may_grow, sweep

    pool.after = check
    pool.run(100_000)
    assert [sweep.trials + sweep.running + len(sweep.paused) for sweep in sweeps] == [0] * len(sweeps)


@settings(deadline=None, max_examples=25)
@given(lanes=st.integers(1, 4), makers=st.lists(MAKERS, min_size=2, max_size=2), away=st.floats(20, 2000))
def test_idleness_earns_no_credit(lanes: int, makers: list[MakeTrial], away: float) -> None:
    """A user who comes after a long time shares from then on as if both had just begun."""
    sweeps = [
        SimulatedSweep("a", "alice", MANY, makers[0]),
        SimulatedSweep("b0", "bob", 1, probe),
        SimulatedSweep("b", "bob", MANY, makers[1], begins=away),
    ]
    pool = Pool(lanes, sweeps, seed=3)
    pool.run(away)
    before = pool.by_owner()
    pool.run(away + 300)
    gained = {owner: seconds - before.get(owner, 0.0) for owner, seconds in pool.by_owner().items()}
    assert 0.4 <= gained["bob"] / sum(gained.values()) <= 0.6


@settings(deadline=None, max_examples=25)
@given(lanes=st.integers(2, 6), seed=st.integers(0, 10**6))
def test_wanting_little_for_long_earns_no_credit_either(lanes: int, seed: int) -> None:
    """A user content with one lane for 20 minutes is not repaid when more is wanted."""
    small = SimulatedSweep("a", "alice", MANY, training, parallel=1)
    pool = Pool(lanes, [small, SimulatedSweep("b", "bob", MANY, training)], seed=seed)
    pool.run(1200)
    small.parallel = 1000
    before = pool.by_owner()
    pool.run(1500)
    gained = {owner: seconds - before[owner] for owner, seconds in pool.by_owner().items()}
    assert 0.4 <= gained["alice"] / sum(gained.values()) <= 0.6


@settings(deadline=None, max_examples=25)
@given(lanes=st.integers(1, 4), makers=st.lists(MAKERS, min_size=2, max_size=2), seed=st.integers(0, 10**6))
def test_two_equal_users_do_not_thrash(lanes: int, makers: list[MakeTrial], seed: int) -> None:
    sweeps = [SimulatedSweep(name, name, MANY, make) for name, make in zip("ab", makers, strict=True)]
    pool = Pool(lanes, sweeps, seed=seed)
    pool.run(1000)
    assert pool.preemptions <= lanes * (1000 / 10)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_a_new_sweep_has_its_first_lane_after_one_report(seed: int) -> None:
    """Three sweeps of two users on two lanes, with a report at least every 2 s."""

    def short_reports(source: random.Random) -> Trial:
        return Trial(source.uniform(0.2, 2), 50)

    sweeps = [
        SimulatedSweep("a1", "alice", MANY, short_reports),
        SimulatedSweep("a2", "alice", MANY, short_reports, begins=20),
        SimulatedSweep("b", "bob", MANY, short_reports, begins=30),
    ]
    Pool(2, sweeps, seed=seed).run(60)
    for sweep in sweeps:
        assert sweep.first_lane_at is not None
        assert sweep.first_lane_at - sweep.begins <= 5
