"""Samples of how busy a machine is."""

from __future__ import annotations

import psutil
import pytest

from trainables.devices import UsageMeter, usage
from trainables.devices.gpus import GpuUse


class Clock:
    """Seconds that stand until a test moves them."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_sample_is_taken_every_ten_seconds_at_most(clock: Clock) -> None:
    meter = UsageMeter(clock)
    taken = []
    for clock.now in (105.0, 109.9, 110.0, 115.0, 119.9, 131.0, 141.0):
        if meter.sample():
            taken.append(clock.now)
    assert taken == [110.0, 131.0, 141.0]


def test_a_sample_has_processor_and_memory_of_this_machine(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "read_gpu_use", lambda: ())
    meter = UsageMeter(clock)
    sum(range(1_000_000))
    clock.now += 10
    use = meter.sample()
    assert use.keys() == {
        "cpu_utilization_percentage",
        "system_memory_usage_megabytes",
        "system_memory_usage_percentage",
    }
    assert 0 < use["cpu_utilization_percentage"] <= 100
    assert 0 < use["system_memory_usage_megabytes"] * 1e6 < psutil.virtual_memory().total


def test_each_gpu_that_the_trial_sees_has_its_use(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = (GpuUse(utilization=91.0, used=20_000_000_000, memory=80_000_000_000),)
    monkeypatch.setattr(usage, "read_gpu_use", lambda: gpus)
    meter = UsageMeter(clock)
    clock.now += 10
    use = meter.sample()
    assert use["gpu_0_utilization_percentage"] == 91.0
    assert use["gpu_0_memory_usage_megabytes"] == 20_000
    assert use["gpu_0_memory_usage_percentage"] == 25.0
