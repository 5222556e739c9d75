"""Forecasts from a sweep's file: weights that its trials load, names that vary, values of a name."""

from __future__ import annotations

from pathlib import Path

from search_spaces import SweepSpec, parse_spec, values_used, varying_names, weights_used

LITE0, RESNET = "timm/tf_efficientnet_lite0", "torchvision/resnet18"


def spec(space: str, more: str = "") -> SweepSpec:
    return parse_spec(f"name: a\ndata: {{source: digits}}\nspace: {space}\n{more}", file="folder/s.yaml")


def test_weights_go_with_the_backbone_they_are_drawn_with() -> None:
    branches = f"[{{backbone: {LITE0}}}, {{backbone: {RESNET}, weights: mine.safetensors}}]"
    mine = str(Path("folder").absolute() / "mine.safetensors")
    assert weights_used(spec(f"{{one_of: {branches}}}")) == [(LITE0, "pretrained"), (RESNET, mine)]


def test_a_condition_keeps_weights_from_the_other_backbone() -> None:
    space = (
        f"{{backbone: {{values: [{LITE0}, {RESNET}]}}, weights: {{values: [random], when: {{backbone: {RESNET}}}}}}}"
    )
    assert weights_used(spec(space)) == [(LITE0, "pretrained"), (RESNET, "random")]


def test_names_vary_that_differ_between_recipes() -> None:
    space = "{optimizer: {one_of: [{name: adamw}, {name: nesterov, momentum: 0.9}]}, dropout.rate: 0.1}"
    assert varying_names(spec(space)) == ["optimizer.name", "optimizer.lr", "optimizer.weight_decay"]
    points = "search: {algorithm: points, points: [{optimizer.name: adamw}, {optimizer.weight_decay: 1.0}]}"
    listed = parse_spec(f"name: a\ndata: {{source: digits}}\n{points}\n", file="s.yaml")
    assert varying_names(listed) == ["optimizer.weight_decay"]


def test_every_listed_value_is_found() -> None:
    assert values_used(spec("{augment.policy: {values: [none, flip]}}"), "augment.policy") == ["none", "flip"]
    assert values_used(spec("{batch_size: 8}"), "augment.policy") == ["none"]
