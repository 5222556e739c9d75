"""A soak's samples: growth is told from noise."""

from __future__ import annotations

import os
import random

import psutil

from tests.faults.memory_samples import QUANTITIES, growths, take_sample

HOURS = [30.0 * number for number in range(240)]


def _samples(levels: list[float]) -> list[dict[str, dict[str, float]]]:
    """Return a sample a level, of two equal processes."""
    return [{"api": {"processes": 2.0} | dict.fromkeys(QUANTITIES, 2.0 * level)} for level in levels]


def test_memory_that_fills_at_first_and_then_varies_is_flat() -> None:
    draw = random.Random(0)
    levels = [min(80.0 + number, 120.0) + draw.gauss(0.0, 3.0) for number in range(len(HOURS))]
    growth = growths(HOURS, _samples(levels))["api"]["memory"]
    assert growth.is_flat
    assert abs(growth.level - 120.0) < 1.0


def test_memory_that_grows_all_the_time_is_not_flat() -> None:
    draw = random.Random(0)
    levels = [100.0 + 0.2 * number + draw.gauss(0.0, 3.0) for number in range(len(HOURS))]
    growth = growths(HOURS, _samples(levels))["api"]["memory"]
    assert not growth.is_flat
    assert abs(growth.drift - 0.2 * 192) < 3.0


def test_a_role_with_few_samples_is_left_out() -> None:
    samples = _samples([1.0] * len(HOURS))
    samples[5]["sender"] = samples[5]["api"]
    assert set(growths(HOURS, samples)) == {"api"}


def test_a_sample_sums_up_the_processes_of_a_role() -> None:
    this = psutil.Process(os.getpid())
    sample = take_sample([this, this])
    ((role, sums),) = sample.items()
    assert sums["processes"] == 2.0
    assert sums["memory"] > 2 * 20
    assert sums["threads"] >= 2.0, role
