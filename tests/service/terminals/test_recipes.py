"""Recipes in the form that users read."""

from __future__ import annotations

import pytest

from service.terminals.recipes import recipe_lines

BACKBONE = "timm/tf_efficientnet_lite0"


@pytest.mark.parametrize("backbone", ["mine:net", None])
def test_without_a_known_number_of_stages_it_stays_a_number(backbone: str | None) -> None:
    recipe = {"backbone": backbone, "freeze_depth": 3}
    assert dict(recipe_lines(recipe))["freeze_depth"] == "3"


def test_a_counted_own_backbone_has_its_depth_as_it_is_written() -> None:
    recipe = {"backbone": "mine:net", "freeze_depth": 3}
    assert dict(recipe_lines(recipe, own_stages=4))["freeze_depth"] == "-1 (3 of 4 stages)"
    assert dict(recipe_lines(recipe, own_stages=3))["freeze_depth"] == "all (3 of 3 stages)"


def test_a_list_of_values_gives_the_number_of_stages_too() -> None:
    lines = dict(recipe_lines({"backbone": BACKBONE, "freeze_depth": 8, "batch_size": 32}))
    assert lines == {"backbone": BACKBONE, "freeze_depth": "-1 (8 of 9 stages)", "batch_size": "32"}
