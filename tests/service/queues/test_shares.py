"""Shares of lanes at one moment."""

from __future__ import annotations

from service.queues import Candidate, Preemption, Shares


def test_lanes_free_at_once_are_spread_over_the_owners_before_any_use() -> None:
    shares, running = Shares(), {"a": 0, "b": 0}
    for _lane in range(4):
        candidates = [
            Candidate(sweep_id=sweep, owner=f"owner-{sweep}", running=count, wanted=9)
            for sweep, count in running.items()
        ]
        running[shares.rank(candidates)[0]] += 1
    assert running == {"a": 2, "b": 2}


def test_a_sweep_that_wants_nothing_or_is_at_a_cap_is_not_ranked() -> None:
    candidates = [
        Candidate(sweep_id="idle", owner="a"),
        Candidate(sweep_id="capped", owner="a", running=1, wanted=5, slot_cap=1),
        Candidate(sweep_id="limited", owner="b", wanted=5, max_slots=2),
        Candidate(sweep_id="b", owner="b", running=2, max_slots=2),
        Candidate(sweep_id="free", owner="c", wanted=1),
    ]
    assert Shares().rank(candidates) == ["free"]


def test_a_higher_priority_ranks_first_and_takes_a_lane_at_a_report() -> None:
    candidates = [
        Candidate(sweep_id="low", owner="a", running=1, wanted=5),
        Candidate(sweep_id="high", owner="b", wanted=5, priority=1),
    ]
    shares = Shares()
    assert shares.rank(candidates) == ["high", "low"]
    assert shares.should_yield("low", candidates) == Preemption(to="high", reason="high has priority 1, this sweep 0")


def test_a_lane_above_a_cap_that_was_lowered_yields_to_nobody_in_particular() -> None:
    candidates = [Candidate(sweep_id="a", owner="a", running=3, wanted=5, slot_cap=2)]
    assert Shares().should_yield("a", candidates) == Preemption(to=None, reason="the sweep has 3 slots, its cap is 2")


def test_a_new_user_gets_a_lane_at_the_next_report() -> None:
    shares = Shares()
    alone = [Candidate(sweep_id="a", owner="a", running=1, wanted=5)]
    shares.rank(alone)
    shares.charge("a", 500)
    both = [*alone, Candidate(sweep_id="b", owner="b", wanted=5)]
    shares.rank(both)
    shares.charge("a", 0.2)
    preemption = shares.should_yield("a", both)
    assert preemption is not None
    assert preemption.to == "b"
    assert preemption.reason == "b waits and has used less"


def test_two_equal_users_on_one_lane_change_places_after_two_quanta() -> None:
    shares, on, times = Shares(quantum=10), "a", {"a": 0.0, "b": 0.0}
    turns: list[tuple[str, float]] = []
    for _second in range(200):
        candidates = [Candidate(sweep_id=sweep, owner=sweep, running=sweep == on, wanted=5) for sweep in times]
        shares.rank(candidates)
        shares.charge(on, 1.0)
        times[on] += 1.0
        if shares.should_yield(on, candidates):
            turns.append((on, times[on]))
            times[on], on = 0.0, "b" if on == "a" else "a"
    lengths = [length for _, length in turns[2:]]
    assert len(lengths) >= 5
    assert min(lengths) >= 18
    assert max(lengths) <= 24


def test_a_sweep_that_never_had_a_lane_gets_one_from_its_own_user() -> None:
    shares = Shares()
    first = [
        Candidate(sweep_id="a1", owner="a", running=1, wanted=5),
        Candidate(sweep_id="b1", owner="b", running=1, wanted=5),
    ]
    shares.rank(first)
    both = [*first, Candidate(sweep_id="a2", owner="a", wanted=5)]
    shares.rank(both)
    shares.charge("a1", 0.3)
    shares.charge("b1", 0.3)
    preemption = shares.should_yield("a1", both)
    assert preemption is not None
    assert preemption.to == "a2"
    assert shares.should_yield("b1", both) is None


def test_a_user_who_comes_back_has_no_credit_for_the_time_away() -> None:
    shares = Shares(quantum=10)
    a, b = (Candidate(sweep_id=name, owner=name, running=1, wanted=5) for name in "ab")
    shares.rank([a, b])
    for _hour in range(3600):
        shares.rank([a])
        shares.charge("a", 1.0)
    shares.rank([a, b])
    shares.charge("a", 25.0)
    assert shares.rank([a, b])[0] == "b"
    shares.charge("b", 40.0)
    assert shares.rank([a, b])[0] == "a"


def test_a_user_who_wanted_little_has_no_claim_on_what_others_used() -> None:
    """Give `a`, which wants only one lane of four, that lane all the time."""
    shares = Shares(quantum=10)
    small = Candidate(sweep_id="a", owner="a", running=1)
    large = Candidate(sweep_id="b", owner="b", running=3, wanted=5)
    for _second in range(1000):
        shares.rank([small, large])
        shares.charge("a", 1.0)
        shares.charge("b", 3.0)
    grown = Candidate(sweep_id="a", owner="a", running=2, wanted=5)
    held = Candidate(sweep_id="b", owner="b", running=2, wanted=5)
    assert shares.should_yield("b", [grown, held]) is None


def test_a_use_of_a_sweep_that_has_left_is_charged_to_nobody() -> None:
    shares = Shares()
    shares.charge("gone", 10.0)
    assert shares.rank([]) == []
