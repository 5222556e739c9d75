"""Own code in a sweep file is found without importing it."""

from __future__ import annotations

import pytest

from search_spaces import own_code_used, parse_spec
from search_spaces.extensions import stage_counts

SPEC = """
name: cells
data: {source: digits, image_size: 16}
space: {freeze_depth: all}
budget: {trials: 2, epochs: 1}
"""


def test_a_sweep_of_names_of_ours_uses_no_own_code() -> None:
    assert own_code_used(parse_spec(SPEC, file="sweep.yaml")) == []


def test_every_kind_of_own_code_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_counts, "_counters", [lambda _name, _folder: 3])
    text = SPEC.replace("source: digits", "source: 'mine:images'")
    text = text.replace("freeze_depth: all", "backbone: {values: ['mine:net', torchvision/resnet18]}, freeze_depth: 0")
    text += "metric: {name: 'val/mine:score', goal: maximize}\n"
    assert own_code_used(parse_spec(text, file="sweep.yaml")) == [
        ("dataset", "mine:images"),
        ("metric", "mine:score"),
        ("backbone", "mine:net"),
    ]


def test_an_own_augmentation_is_found() -> None:
    text = SPEC.replace("freeze_depth: all", "freeze_depth: all, augment.policy: {values: [none, 'mine:vary']}")
    assert own_code_used(parse_spec(text, file="sweep.yaml")) == [("augmentation", "mine:vary")]
