"""Early stopping: laws of ASHA."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from service.schedulers import Asha, NoStopping, Report

values = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def run_rung(asha: Asha, scores: list[float], epoch: int = 1) -> list[bool]:
    """Which of the trials that reach one rung, in this order, are stopped there."""
    reports = [Report(trial_id=str(i), epoch=epoch, value=v) for i, v in enumerate(scores)]
    return [asha.stops(reports[:i], report) for i, report in enumerate(reports)]


def asha(*, grace: int = 1, factor: int = 3, maximize: bool = True) -> Asha:
    return Asha(grace_epochs=grace, reduction_factor=factor, maximize=maximize)


def test_milestones_are_the_rungs_and_the_last_epoch() -> None:
    assert asha().milestones(10) == (1, 3, 9, 10)
    assert asha(grace=2, factor=2).milestones(8) == (2, 4, 8)
    assert NoStopping().milestones(8) == (8,)


def test_it_waits_for_as_many_reports_as_the_factor() -> None:
    assert run_rung(asha(factor=3), [0.9, 0.1, 0.2, 0.8, 0.95]) == [False, False, True, True, False]


@given(values)
def test_the_best_so_far_always_goes_on(scores: list[float]) -> None:
    for i, stopped in enumerate(run_rung(asha(), scores)):
        if scores[i] >= max(scores[: i + 1]):
            assert not stopped


@given(values)
def test_losing_is_the_mirror_of_winning(scores: list[float]) -> None:
    mirrored = [-score for score in scores]
    assert run_rung(asha(), scores) == run_rung(asha(maximize=False), mirrored)


@given(values)
def test_between_rungs_nothing_is_stopped(scores: list[float]) -> None:
    assert not any(run_rung(asha(), scores, epoch=2))


@given(st.permutations([i / 30 for i in range(30)]))
def test_worst_of_a_full_rung_is_stopped_wherever_it_stands_behind_the_first_two(scores: list[float]) -> None:
    stopped = run_rung(asha(), list(scores))
    for i in range(2, len(scores)):
        if scores[i] < sorted(scores[: i + 1], reverse=True)[max(1, (i + 1) // 3) - 1]:
            assert stopped[i]


def test_a_value_that_is_not_a_number_ranks_last() -> None:
    assert run_rung(asha(), [0.1, 0.2, math.nan]) == [False, False, True]


def test_the_same_trial_twice_at_a_rung_counts_once() -> None:
    earlier = [Report(trial_id="a", epoch=1, value=0.9), Report(trial_id="b", epoch=1, value=0.5)]
    again = Report(trial_id="a", epoch=1, value=0.1)
    assert not asha().stops(earlier, again)
