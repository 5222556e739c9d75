"""What NVIDIA's tool lists, read without a card."""

from __future__ import annotations

import pytest

from trainables.devices import find_gpus
from trainables.devices.gpus import parse_listing

LISTING = """\
NVIDIA H100 80GB HBM3, 81559, 81008, 580.95.05
NVIDIA H100 80GB HBM3, 81559, 40000, 580.95.05
"""


def test_each_line_is_a_gpu_in_bytes() -> None:
    first, second = parse_listing(LISTING)
    assert (first.name, first.driver) == ("NVIDIA H100 80GB HBM3", "580.95.05")
    assert first.memory == 81559 * 1024**2
    assert second.free == 40000 * 1024**2


@pytest.mark.parametrize("told", ["", "No devices were found\n", "Card, [N/A], [N/A], 1.0\n", "a, 1\n"])
def test_what_is_no_gpu_is_left_out(told: str) -> None:
    assert parse_listing(told) == ()


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_none(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert find_gpus() == ()
