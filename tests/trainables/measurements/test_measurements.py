"""Short measurements: their parts, and the estimates that follow from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.errors import DataError
from trainables.measurements import StageCosts, measure_data, measure_stages
from trainables.stores.prepared import PreparedData

RESNET18 = "torchvision/resnet18"


def costs(**changed: object) -> StageCosts:
    given: dict[str, object] = {
        "backbone": "b",
        "image_size": 32,
        "precision": "fp32",
        "device": "cpu",
        "threads": 1,
        "batch": 16,
        "entry": 0.5,
        "forward": (1.0, 2.0, 4.0),
        "head": 0.25,
        "steps": {0: 21.0, 3: 1.0},
        "updates": {0: 32.0, 3: 0.0},
        "boundaries": (10, 20, 30, 40),
        "built": 1000,
        "peaks": {0: 9000, 3: 1000},
        "states": {0: 2000, 3: 0},
        "build": 1.0,
    }
    return StageCosts(**{**given, **changed})  # type: ignore[arg-type]


def test_what_a_kept_activation_saves_is_the_frozen_stages() -> None:
    assert [costs().prefix_seconds(depth) for depth in range(4)] == [0.5, 1.5, 3.5, 7.5]
    assert costs().evaluation_seconds() == 7.75
    assert costs().training_seconds(3, 16) == 7.5 + 1.0
    assert costs().training_seconds(0, 16) == 0.5 + 21.0 + 32 / 16


def test_a_depth_between_measured_ones_lies_between_them_by_its_share_of_the_forward_pass() -> None:
    steps = [costs().step_seconds(depth, 10**9) for depth in range(4)]
    assert steps[1] == pytest.approx(21 - 20 * 1 / 7)
    assert steps == sorted(steps, reverse=True)


def test_memory_grows_with_the_batch_beyond_what_the_model_takes() -> None:
    assert costs().memory_bytes(0, 16) == 9000
    assert costs().memory_bytes(0, 32) == 1000 + 2000 + 2 * 6000
    assert costs().memory_bytes(3, 4) == 1000


def test_each_part_is_measured_and_torchs_generator_stays(digits: PreparedData) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    actual = measure_stages(RESNET18, digits.images[np.arange(16)], depths=[0, 3, 5], classes=10, seconds=0.3)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(actual.forward) == 5
    assert len(actual.boundaries) == 6
    assert min(actual.entry, actual.head, actual.build, *actual.forward, *actual.steps.values()) > 0
    assert actual.boundaries[0] == 3 * 16 * 16 * 4
    assert actual.boundaries[-1] == 512 * 4
    assert actual.steps[0] > actual.steps[5]
    assert actual.steps.keys() == {0, 3, 5}
    assert actual.batch <= 16


def test_unreadable_images_are_left_out_of_the_measurement(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    good = sorted(tiny_folder.rglob("*.png"))[:3]
    actual, images = measure_data([tmp_path / "bad.png", *good], 32, ["none", "lecture7"])
    assert images.shape == (3, 32, 32, 3)
    assert actual.decode > 0
    assert actual.views["lecture7"] > actual.views["none"]
    with pytest.raises(DataError, match=r"bad\.png"):
        measure_data([tmp_path / "bad.png"], 32, [])
