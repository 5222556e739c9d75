import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Choice, Domain, Fixed, Range
from search_spaces.spaces.domains import DomainError

UNITS = st.floats(0, 1, exclude_max=True)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    if draw(st.booleans()):
        low = draw(st.integers(1, 10**6))
        high = low + draw(st.integers(1, 10**6))
        if draw(st.booleans()):
            return Range(min=low, max=high, log=True, integer=True)
        return Range(min=low - 50, max=high - 50, integer=True, step=draw(st.none() | st.integers(1, high - low)))
    low_f = draw(st.sampled_from([0.0, 1e-5, 0.1, 0.5]))
    high_f = low_f + draw(st.floats(1e-3, 10.0))
    if draw(st.booleans()) and low_f > 0:
        return Range(min=low_f, max=high_f, log=True)
    step = draw(st.none() | st.floats(1e-4, 1.0).filter(lambda size: size <= high_f - low_f))
    return Range(min=low_f, max=high_f, step=step)


VALUES = st.integers(-5, 5) | st.sampled_from(["a", "b"]) | st.tuples(st.floats(0, 0.9), st.floats(0, 0.9))
DOMAINS = (
    ranges()
    | VALUES.map(lambda value: Fixed(value=value))
    | st.lists(VALUES, min_size=1, max_size=6, unique=True).map(lambda values: Choice(values=tuple(values)))
)


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, float):
        return math.isclose(a, b, rel_tol=1e-9)
    return bool(a == b)


@given(domain=DOMAINS, unit=UNITS)
def test_every_unit_gives_a_contained_value_that_its_unit_gives_back(domain: Domain, unit: float) -> None:
    value = domain.from_unit(unit)
    assert domain.contains(value)
    back = domain.to_unit(value)
    assert 0 <= back < 1
    assert equal(domain.from_unit(back), value)


@given(domain=ranges(), data=st.data())
def test_every_contained_number_is_reachable(domain: Range, data: st.DataObject) -> None:
    if domain.integer and domain.step is None:
        value: float = data.draw(st.integers(int(domain.min), int(domain.max)))
    elif domain.size is None:
        value = data.draw(st.floats(domain.min, domain.max))
    else:
        value = domain.min + data.draw(st.integers(0, domain.size - 1)) * (domain.step or 1)
    reached = domain.from_unit(domain.to_unit(value))
    assert math.isclose(float(str(reached)), value, rel_tol=1e-9, abs_tol=1e-300)


def test_integers_stay_integers_and_both_ends_are_drawn() -> None:
    for domain in (Range(min=1, max=4, integer=True), Range(min=1, max=4, integer=True, log=True)):
        rng = random.Random(0)
        drawn = [domain.from_unit(rng.random()) for _ in range(300)]
        assert {type(value) for value in drawn} == {int}
        assert set(drawn) == {1, 2, 3, 4}


def test_a_logarithmic_range_draws_each_decade_as_often() -> None:
    domain = Range(min=1e-5, max=1e-1, log=True)
    assert domain.from_unit(0.5) == pytest.approx(1e-3)
    assert domain.from_unit(0.25) == pytest.approx(1e-4)


def test_steps_are_decimal() -> None:
    domain = Range(min=0.1, max=0.7, step=0.1)
    assert domain.size == 7
    assert [domain.from_unit((i + 0.5) / 7) for i in range(7)] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert domain.contains(0.1 + 0.1 + 0.1)
    assert not domain.contains(0.15)
    assert Range(min=0, max=10, step=3, integer=True).size == 4


def test_booleans_are_never_numbers() -> None:
    assert not Choice(values=(0, 1)).contains(True)
    assert not Range(min=0, max=1).contains(True)
    assert not Fixed(value=1).contains(True)
    assert Choice(values=(True, 1)).size == 2


def test_pairs_are_values() -> None:
    domain = Choice(values=((0.9, 0.99), (0.9, 0.999)))
    assert domain.contains([0.9, 0.99])
    assert domain.from_unit(0.9) == (0.9, 0.999)


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("max", lambda: Range(min=1.0, max=1.0)),
        ("max", lambda: Range(min=0.0, max=math.inf)),
        ("min", lambda: Range(min=math.nan, max=1.0)),
        ("min", lambda: Range(min=0.0, max=1.0, log=True)),
        ("min", lambda: Range(min=0.5, max=4, integer=True)),
        ("step", lambda: Range(min=1.0, max=2.0, step=0.1, log=True)),
        ("step", lambda: Range(min=1.0, max=2.0, step=0.0)),
        ("step", lambda: Range(min=1.0, max=2.0, step=3.0)),
        ("step", lambda: Range(min=1, max=5, step=0.5, integer=True)),
        ("default", lambda: Range(min=1.0, max=2.0, default=3.0)),
        ("default", lambda: Choice(values=(1, 2), default=3)),
        ("default", lambda: Fixed(value=1, default=2)),
        ("values", lambda: Choice(values=())),
        ("values", lambda: Choice(values=(1, 1.0))),
    ],
)
def test_a_domain_that_cannot_be_says_which_part_is_wrong(field: str, make: Any) -> None:
    with pytest.raises(DomainError) as caught:
        make()
    assert caught.value.field == field


def test_a_value_outside_has_no_unit() -> None:
    with pytest.raises(ValueError, match="must lie in"):
        Range(min=0.0, max=1.0).to_unit(2.0)
