"""Recipe files that were changed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.clocks import now_ms
from service.exports import RecipeFile, make_recipe_file
from service.ledgers import Ledger, SweepState
from service.settings import Home
from service.trainings.edits import describe_edit, explain_edit, find_changes
from tests.service.sweeps.sweeps import add_sweep, add_trials

TEXT = """\
name: cells
data: {source: photos, image_size: 32}
space: {backbone: timm/test_efficientnet, weights: random}
search: {algorithm: random}
budget: {trials: 2, epochs: 2}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


@pytest.fixture
def file(home: Home) -> Iterator[RecipeFile]:
    with closing(Ledger.open(home, clock=now_ms)) as ledger:
        sweep = add_sweep(ledger, SweepState.COMPLETED, text=TEXT)
        add_trials(ledger, sweep, 0.5, recipe={"backbone": "timm/test_efficientnet", "weights": "random"})
        yield make_recipe_file(ledger, sweep, with_places=True)


def changed(file: RecipeFile) -> RecipeFile:
    """Return the file with three changes that its claim notices, and two that it does not."""
    return file.model_copy(
        update={
            "recipe": file.recipe | {"batch_size": 8},
            "score": file.score.model_copy(update={"value": 0.99}),
            "evidence": {"note": "mine"},
            "data": file.data.model_copy(update={"source": "elsewhere"}),
            "command": "mine",
        }
    )


def test_what_was_changed_is_found_with_the_sweep_of_the_recipe(file: RecipeFile, home: Home) -> None:
    assert find_changes(file, home) == []
    changes = find_changes(changed(file), home)
    assert "batch_size is 8, was 32" in changes
    assert "score.value is 0.99, was 0.5" in changes
    assert "evidence.note is mine, was not there" in changes
    assert not any("source" in change or "command" in change for change in changes)


def test_without_the_sweep_nothing_is_known(file: RecipeFile, home: Home, tmp_path: Path) -> None:
    assert find_changes(changed(file), Home(tmp_path / "other").create()) == []
    lost = changed(file).model_copy(update={"chosen": file.chosen.model_copy(update={"sweep": "s-none"})})
    assert find_changes(lost, home) == []
    assert find_changes(changed(file).model_copy(update={"claim": "ab"}), home) == [], "another export"


def test_an_edit_is_told_with_file_key_meaning_and_way_out(file: RecipeFile) -> None:
    path = Path("best recipe.yaml")
    edit = describe_edit(path, ["a is 1, was 2"] * 5)
    assert edit == (
        "best recipe.yaml was changed by hand after its export (a is 1, was 2; a is 1, was 2; a is 1, was 2; 2 more)"
    )
    assert describe_edit(path, []) == "best recipe.yaml was changed by hand after its export"
    sentence = explain_edit(file, path, edit)
    assert sentence.startswith(f"{edit}: its claim is dropped, so the expected accuracy of 0.5000 says nothing")
    assert sentence.endswith(f"meltpoint export {file.chosen.sweep} -f 'best recipe-as-exported.yaml'")
