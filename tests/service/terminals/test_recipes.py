"""Recipes as a user reads them."""

from __future__ import annotations

import pytest

from search_spaces.backbones import BACKBONES, resolve_freeze_depth
from service.terminals.recipes import freeze_depth_text, recipe_lines

BACKBONE = "timm/tf_efficientnet_lite0"


def test_a_freeze_depth_is_shown_as_a_sweep_file_may_have_it() -> None:
    stages = BACKBONES[BACKBONE].stages
    shown = [freeze_depth_text({"backbone": BACKBONE, "freeze_depth": frozen}) for frozen in range(stages + 1)]
    assert (shown[0], shown[-2], shown[-1]) == ("0", "-1", "all")
    for frozen, text in enumerate(shown):
        written = text if text == "all" else int(text)
        assert resolve_freeze_depth(written, backbone=BACKBONE) == frozen


@pytest.mark.parametrize("backbone", ["mine:net", None])
def test_without_a_known_number_of_stages_it_stays_a_number(backbone: str | None) -> None:
    recipe = {"backbone": backbone, "freeze_depth": 3}
    assert freeze_depth_text(recipe) == "3"
    assert dict(recipe_lines(recipe))["freeze_depth"] == "3"


def test_a_list_of_values_gives_the_number_of_stages_too() -> None:
    lines = dict(recipe_lines({"backbone": BACKBONE, "freeze_depth": 8, "batch_size": 32}))
    assert lines == {"backbone": BACKBONE, "freeze_depth": "-1 (8 of 9 stages)", "batch_size": "32"}
