from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from search_spaces import SpecError
from service.exports import format_recipe, load_recipe, recipe_schema, write_recipe
from service.formats import RecipeFormat
from tests.service.exports.files import recipe_file

VALUES = {
    "backbone": "timm/tf_efficientnet_lite0",
    "freeze_depth": -1,
    "optimizer.name": "adamw",
    "optimizer.lr": 3e-05,
    "optimizer.eps": 1e-08,
    "augment.policy": "lecture7",
}


def written(text: str, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def changed(old: str, new: str, tmp_path: Path) -> Path:
    text = write_recipe(recipe_file(VALUES))
    assert text.count(old) >= 1, old
    return written(text.replace(old, new, 1), tmp_path)


@pytest.mark.parametrize("form", [RecipeFormat.RECIPE, RecipeFormat.JSON])
def test_a_file_is_read_back_unchanged(form: RecipeFormat, tmp_path: Path) -> None:
    file = recipe_file(VALUES)
    back = load_recipe(written(format_recipe(file, form), tmp_path))
    assert back == file
    assert back.is_as_exported
    assert back.hyperparameters.flat() == file.hyperparameters.flat()


def test_the_way_in_which_it_was_chosen_is_at_the_top_and_a_field() -> None:
    lines = write_recipe(recipe_file(VALUES)).splitlines()
    assert lines[1] == "# UNCONFIRMED: the best of 12 trials"
    assert "likely too good" in lines[2]
    assert lines[3] == "# Train by it: meltpoint train recipe.yaml"
    assert "  how: unconfirmed" in lines


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lr: 3e-05", "lr: 3e-04"),
        ("value: 0.85", "value: 0.95"),
        ("epochs: 6", "epochs: 60"),
        ("image_size: 64", "image_size: 32"),
        ("how: unconfirmed", "how: confirmed"),
        ("seed: 0", "seed: 1"),
    ],
)
def test_a_change_by_hand_is_noticed(old: str, new: str, tmp_path: Path) -> None:
    assert not load_recipe(changed(old, new, tmp_path)).is_as_exported


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("freeze_depth: -1", "freeze_depth: 8"),
        ("lr: 3e-05", "lr: 0.00003"),
        ("source: cells", "source: /photos/cells"),
        ("command: meltpoint train recipe.yaml", "command: make model"),
        ("# UNCONFIRMED", "# Our favourite"),
    ],
)
def test_another_spelling_or_place_keeps_the_claim(old: str, new: str, tmp_path: Path) -> None:
    assert load_recipe(changed(old, new, tmp_path)).is_as_exported


def test_a_claim_of_before_every_optimizer_had_a_weight_decay_holds() -> None:
    file = recipe_file({"optimizer.name": "adam", "optimizer.lr": 0.01})
    assert file.claim == "b558a2b8fb0b822f8385b31da67424f59ff44cf7ddfebfd9f3d4e7544875ad78"
    decaying = {"optimizer.name": "adam", "optimizer.lr": 0.01, "optimizer.weight_decay": 0.1}
    assert recipe_file(decaying).claim != file.claim


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lr: 3e-05", "lr: fast", "recipe.optimizer.lr: must be a number (fast)"),
        ("eps: 1e-08", "epsilon: 1e-08", "recipe.optimizer.epsilon: unknown name"),
        ("epochs: 6", "epocs: 6", "training.epocs: unknown key; did you mean epochs?"),
        ("image_size: 64", "image_size: 6", "data.image_size: must be >= 8 (6)"),
        ("format: meltpoint-recipe-1", "format: meltpoint-recipe-9", "format: must be meltpoint-recipe-1"),
        ("  - 7\n", "  - 7\n  - 8\n", "training.best_epochs: must have an entry for each of the 2 seeds ([4])"),
    ],
)
def test_a_problem_is_named_with_its_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = changed(old, new, tmp_path)
    with pytest.raises(SpecError) as error:
        load_recipe(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}:")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    for text in ("name: cells\ndata: {source: digits}\n", "- 1\n", ""):
        with pytest.raises(SpecError, match="as `meltpoint export` writes it"):
            load_recipe(written(text, tmp_path))


def test_the_schema_accepts_what_is_exported_and_refuses_a_misspelt_key() -> None:
    schema, data = recipe_schema(), recipe_file(VALUES).as_json()
    jsonschema.validate(data, schema)
    for wrong in ({"recipe": {"optimiser": {"lr": 1.0}}}, {"training": {"epocs": 3}}, {"format": "meltpoint-recipe-9"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(data | wrong, schema)
    parts = [schema, *schema["$defs"].values()]
    assert all("description" in part for part in parts)
