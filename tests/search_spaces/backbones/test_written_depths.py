"""Freeze depths in the form in which users write them."""

from __future__ import annotations

from search_spaces.backbones import BACKBONES, resolve_freeze_depth, written_freeze_depth

BACKBONE = "timm/tf_efficientnet_lite0"


def test_a_freeze_depth_is_shown_as_a_sweep_file_may_have_it() -> None:
    stages = BACKBONES[BACKBONE].stages
    shown = [written_freeze_depth(frozen, backbone=BACKBONE) for frozen in range(stages + 1)]
    assert (shown[0], shown[-2], shown[-1]) == ("0", "-1", "all")
    for frozen, text in enumerate(shown):
        written = text if text == "all" else int(text)
        assert resolve_freeze_depth(written, backbone=BACKBONE) == frozen


def test_the_depth_of_an_unknown_backbone_stays_a_number() -> None:
    assert written_freeze_depth(3, backbone="mine:net") == "3"
