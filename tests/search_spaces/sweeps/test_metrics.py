"""Goals and metrics: the better of two values, and names on other splits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import METRICS, Goal, Metric

GOALS = st.sampled_from(list(Goal))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_its_split_and_its_measure(name: str) -> None:
    metric = Metric(name)
    assert (metric.on(metric.split), str(metric)) == (name, name)
    assert Metric.of_validation(metric.measure) == metric == Metric.of_validation(name)
    assert metric.on("test") == f"test/{metric.measure}"


@given(GOALS, NUMBERS, NUMBERS)
def test_of_two_numbers_one_is_better_unless_they_are_equal(goal: Goal, a: float, b: float) -> None:
    assert goal.is_better(a, b) + goal.is_better(b, a) == (a != b)
    assert goal.is_better(a, b) == (a > b if goal is Goal.MAXIMIZE else a < b)
    assert not (goal.is_better(a, b) and goal.gain(a, b) < 0)
    assert goal.is_better(a, b) == (goal.sort_key(a) < goal.sort_key(b))


@given(GOALS, NUMBERS)
def test_a_number_is_better_than_nothing_and_nan_never_is(goal: Goal, number: float) -> None:
    assert goal.is_better(number, None)
    assert goal.is_better(number, math.nan)
    assert not goal.is_better(math.nan, number)
    assert not goal.is_better(math.nan, None)


@given(st.lists(st.floats(), max_size=6))
def test_the_best_is_the_extreme_of_the_numbers(values: list[float]) -> None:
    numbers = [value for value in values if not math.isnan(value)]
    if not numbers:
        assert math.isnan(Goal.MAXIMIZE.best(values))
    else:
        assert Goal.MAXIMIZE.best(values) == max(numbers)
        assert Goal.MINIMIZE.best(values) == min(numbers)
