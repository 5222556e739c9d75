"""Laws of the ranges of values that charts show, of working time, and of the rows of workers."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Goal
from service.ledgers import Ledger
from service.sweep_reports import make_report
from service.sweep_reports.facts.timelines import WorkClock
from service.sweep_reports.pages.windows import find_window
from tests.service.sweep_reports.made_sweeps import START, Clock, MadeSweep

VALUES = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=60)


@given(VALUES, st.sampled_from(Goal))
def test_a_window_shows_the_best_value_and_counts_those_that_it_hides(values: list[float], goal: Goal) -> None:
    window = find_window(values, goal)
    assert 0 <= window.scale.unit(goal.best(values)) <= 1
    shown = [value for value in values if window.scale.low <= value <= window.scale.high]
    assert len(shown) + window.hidden >= len(values)
    assert all(0 <= window.scale.unit(window.clip(value)) <= 1 for value in values)


def test_a_few_far_outliers_are_drawn_at_the_edge() -> None:
    window = find_window([0.90, 0.89, 0.88, 0.91, 0.87, 0.89, 0.9, 0.88, 0.1, math.nan], Goal.MAXIMIZE)
    assert window.hidden == 1
    assert window.scale.low > 0.8
    assert window.note("trial") == "1 trial far worse than the others: drawn at the edge."
    assert find_window([0.90, 0.89, 0.88], Goal.MAXIMIZE).note("trial") == ""


SPANS = st.lists(st.tuples(st.integers(0, 10_000_000), st.integers(0, 500_000)), max_size=20)


@given(SPANS)
def test_working_time_rises_with_time_and_is_never_longer(spans: list[tuple[int, int]]) -> None:
    clock = WorkClock(START, [(START + begin, START + begin + length) for begin, length in spans])
    times = sorted({START, *(START + begin for begin, _ in spans), *(START + b + n for b, n in spans)})
    seconds = [clock.seconds(time) for time in times]
    assert seconds == sorted(seconds)
    assert seconds[0] == 0
    removed = sum(length for _, length in clock.pauses)
    assert seconds[-1] == pytest.approx((times[-1] - START) / 1000 - removed)


def test_a_row_has_one_attempt_at_a_time_and_there_are_as_few_rows_as_needed(ledger: Ledger, clock: Clock) -> None:
    made = MadeSweep(ledger, clock)
    trials = []
    for number in range(3):
        trials.append(made.begin(number))
        clock.now += 1000
    for trial in (trials[1], trials[0]):
        made.finish(trial, 0.5)
        clock.now += 1000
    made.finish(made.begin(3), 0.6)
    clock.now += 500
    made.finish(trials[2], 0.7)
    timeline = make_report(ledger, made.sweep).timeline
    assert timeline.workers == 3
    assert timeline.busy_share is not None
    assert 0 < timeline.busy_share < 1
    for _, spans in itertools.groupby(sorted(timeline.spans, key=lambda s: (s.worker, s.start)), lambda s: s.worker):
        for first, second in itertools.pairwise(spans):
            assert first.end <= second.start
