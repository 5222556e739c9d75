from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler as torchs

from search_spaces.records import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSqrt,
    InverseTime,
    Linear,
    Record,
    Step,
)
from trainables.training.schedules import SchedulePosition, ends_cycle, learning_rate_factor

EPOCHS, STEPS = 6, 5
ALL = (Constant, Step, Exponential, InverseTime, InverseSqrt, Linear, Cosine, CosineRestarts)


def shares(record: Record, epochs: int = EPOCHS, steps: int = STEPS) -> list[float]:
    return [
        learning_rate_factor(record, SchedulePosition(step=step, steps_per_epoch=steps, epochs=epochs))
        for step in range(epochs * steps)
    ]


def of_torch(make: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    actual = []
    for _ in range(EPOCHS * STEPS):
        actual.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return actual


@pytest.mark.parametrize(
    ("record", "make"),
    [
        (Step(every=2, gamma=0.3), lambda it: torchs.StepLR(it, step_size=2 * STEPS, gamma=0.3)),
        (Exponential(gamma=0.4), lambda it: torchs.ExponentialLR(it, gamma=0.4 ** (1 / STEPS))),
        (Linear(final=0.1), lambda it: torchs.LinearLR(it, 1.0, 0.1, total_iters=EPOCHS * STEPS)),
        (Cosine(final=0.2), lambda it: torchs.CosineAnnealingLR(it, EPOCHS * STEPS, eta_min=0.2)),
        (
            CosineRestarts(cycles=3, final=0.1),
            lambda it: torchs.CosineAnnealingWarmRestarts(it, EPOCHS * STEPS // 3, eta_min=0.1),
        ),
        (InverseTime(decay=2.0), lambda it: torchs.LambdaLR(it, lambda step: 1 / (1 + 2.0 * step / STEPS))),
        (Constant(), lambda it: torchs.LambdaLR(it, lambda _: 1.0)),
    ],
    ids=lambda value: value.model_dump()["name"] if isinstance(value, Record) else "",
)
def test_rates_are_those_of_torchs_schedulers(record: Record, make: Any) -> None:
    assert shares(record) == pytest.approx(of_torch(make), rel=1e-6, abs=1e-9)


def test_the_inverse_square_root_is_vaswanis() -> None:
    """Compare with equation 3 of the paper, scaled to a peak of 1: min(t^-0.5, t w^-1.5)."""
    warm_up = 2 * STEPS
    actual = shares(InverseSqrt(warmup_epochs=2))
    expected = [min(t**-0.5, t * warm_up**-1.5) * warm_up**0.5 for t in range(1, EPOCHS * STEPS + 1)]
    assert actual == pytest.approx(expected)
    assert shares(InverseSqrt()) == pytest.approx([1 / math.sqrt(t) for t in range(1, EPOCHS * STEPS + 1)])


@given(kind=st.sampled_from(ALL), warm_up=st.integers(0, 5), epochs=st.integers(6, 12), steps=st.integers(1, 9))
def test_a_warm_up_is_a_line_to_the_full_rate_and_no_share_leaves_0_to_1(
    kind: Callable[..., Record], warm_up: int, epochs: int, steps: int
) -> None:
    actual = shares(kind(warmup_epochs=warm_up), epochs, steps)
    rising = warm_up * steps
    assert actual[:rising] == pytest.approx([(step + 1) / rising for step in range(rising)])
    assert all(0 <= share <= 1 for share in actual)
    assert kind is InverseSqrt or actual[rising] == pytest.approx(1.0)


@given(kind=st.sampled_from([kind for kind in ALL if kind is not CosineRestarts]), epochs=st.integers(1, 9))
def test_without_cycles_the_rate_never_rises_after_the_warm_up(kind: type[Record], epochs: int) -> None:
    actual = shares(kind(), epochs)
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(actual))


@given(cycles=st.integers(1, 6), steps=st.integers(1, 7), warm_up=st.integers(0, 3))
def test_a_cycle_ends_where_the_rate_starts_again(cycles: int, steps: int, warm_up: int) -> None:
    epochs = 6 + warm_up
    record = CosineRestarts(cycles=cycles, warmup_epochs=warm_up)
    positions = [SchedulePosition(step=step, steps_per_epoch=steps, epochs=epochs) for step in range(epochs * steps)]
    ends = [position.step for position in positions if ends_cycle(record, position)]
    actual = [learning_rate_factor(record, position) for position in positions]
    assert len(ends) == cycles - 1
    if 6 * steps > 2 * cycles:  # otherwise every step is a cycle
        rises = [step for step in range(warm_up * steps, len(actual) - 1) if actual[step + 1] > actual[step]]
        assert ends == rises


def test_past_its_end_a_schedule_stays_where_it_ended() -> None:
    position = SchedulePosition(step=10 * STEPS, steps_per_epoch=STEPS, epochs=2)
    assert learning_rate_factor(Cosine(final=0.25), position) == pytest.approx(0.25)
    assert learning_rate_factor(Linear(), position) == pytest.approx(0.0)
