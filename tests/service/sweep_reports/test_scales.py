"""Laws of scales: ticks lie within the scale and rise, and places keep the order of values."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from service.sweep_reports.charts import Categories, Linear, Log, Scale, duration_scale, scale_for

FINITE = st.floats(-1e9, 1e9, allow_nan=False)
POSITIVE = st.floats(1e-9, 1e9, allow_nan=False)


def check_ticks(scale: Scale, low: float, high: float, most: int) -> None:
    ticks = scale.ticks(most)
    values = [tick.value for tick in ticks]
    assert len(ticks) <= most
    assert all(low <= value <= high for value in values)
    assert values == sorted(set(values))
    assert len({tick.label for tick in ticks}) == len(ticks)


@given(FINITE, FINITE, st.integers(2, 12))
@example(-6.196e8, -6.159e8, 9)
def test_linear_ticks_lie_within_the_scale_and_rise_with_labels_of_their_own(a: float, b: float, most: int) -> None:
    low, high = sorted((a, b))
    assume(high - low > 1e-6 * max(1.0, abs(low), abs(high)))
    check_ticks(Linear(low, high), low, high, most)


@given(POSITIVE, st.floats(1.05, 1e12), st.integers(2, 12))
def test_log_ticks_lie_within_the_scale_and_rise_with_labels_of_their_own(low: float, factor: float, most: int) -> None:
    check_ticks(Log(low, low * factor), low, low * factor, most)


@given(st.lists(FINITE, min_size=1), st.booleans())
@example([5e-324, 1e9], True)
def test_every_value_has_a_place_and_larger_ones_lie_further_on(values: list[float], is_log: bool) -> None:
    scale = scale_for(values, is_log=is_log)
    places = [scale.unit(value) for value in sorted(values)]
    assert all(0 <= place <= 1 for place in places)
    assert places == sorted(places)


def test_a_log_scale_has_ticks_at_decades() -> None:
    assert [tick.label for tick in Log(1e-5, 0.2).ticks(8)] == ["1e-5", "1e-4", "0.001", "0.01", "0.1"]


def test_a_linear_scale_has_round_ticks() -> None:
    assert [tick.label for tick in Linear(0.78, 0.87).ticks(5)] == ["0.78", "0.80", "0.82", "0.84", "0.86"]


@pytest.mark.parametrize(("longest", "unit"), [(90.0, "s"), (150.0, "min"), (9_000.0, "h")])
def test_a_duration_has_a_unit_of_its_size(longest: float, unit: str) -> None:
    scale, shown = duration_scale([1.0, longest])
    assert shown == unit
    assert 0 < scale.unit(longest) <= 1
    assert all(float(tick.label.replace(",", "")) < 150 for tick in scale.ticks(6))


def test_many_categories_keep_as_many_labels_as_there_is_room_for() -> None:
    scale = Categories([f"class {index}" for index in range(30)])
    assert [tick.label for tick in scale.ticks(3)] == ["class 0", "class 10", "class 20"]
    assert math.isclose(scale.unit(29) - scale.unit(28), scale.band)
