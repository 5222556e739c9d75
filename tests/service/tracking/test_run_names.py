"""Names of runs: short, sortable, and as a user writes the recipe."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces import Goal
from service.ledgers import FIRST_RETRAINING, Sweep, SweepState, Trial, TrialPhase, TrialState
from service.tracking.run_names import short_number, trial_name

DRAWN = ["freeze_depth", "optimizer.name", "optimizer.lr", "dropout.rate", "augment.policy"]
RECIPE = {
    "backbone": "timm/tf_efficientnet_lite0",
    "freeze_depth": 7,
    "optimizer.name": "adamw",
    "optimizer.lr": 0.0022,
    "dropout.rate": 0.25,
    "augment.policy": "none",
}


def make_sweep(drawn: list[str]) -> Sweep:
    return Sweep(
        id="s-1",
        name="n",
        state=SweepState.RUNNING,
        spec_text="",
        spec_file="",
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=0,
        data={},
        settings={"space.drawn": drawn},
        created_at=0,
    )


def make_trial(number: int, recipe: dict[str, Any] = RECIPE, phase: TrialPhase = TrialPhase.SEARCH) -> Trial:
    return Trial(
        id=Trial.make_id("s-1", number),
        sweep_id="s-1",
        number=number,
        point={},
        recipe=recipe,
        identity="i",
        seed=17,
        state=TrialState.RUNNING,
        attempt=1,
        epochs=0,
        created_at=0,
        phase=phase,
    )


def test_a_name_says_the_recipe_in_short() -> None:
    assert trial_name(make_sweep(DRAWN), make_trial(10)) == "0010 adamw lr 2.2e-3 freeze -2 none"
    assert trial_name(make_sweep(DRAWN), make_trial(10), sign="★") == "0010 ★ adamw lr 2.2e-3 freeze -2 none"


def test_a_retraining_is_named_by_its_recipe_and_seed() -> None:
    trial = make_trial(FIRST_RETRAINING + 3, phase=TrialPhase.CONFIRM)
    assert trial_name(make_sweep(DRAWN), trial) == "c003 adamw lr 2.2e-3 freeze -2 none seed 17"


def test_names_give_only_what_differs_and_what_the_trial_has() -> None:
    assert trial_name(make_sweep([]), make_trial(0)) == "0000"
    recipe = {"backbone": "torchvision/resnet18", "batch_size": 32}
    assert trial_name(make_sweep(["backbone", "batch_size", "dropout.rate"]), make_trial(1, recipe)) == (
        "0001 resnet18 batch_size 32"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0022, "2.2e-3"),
        (0.1, "0.1"),
        (0.123, "0.12"),
        (1e-05, "1e-5"),
        (0.0, "0"),
        (99.6, "1e+02"),
        (640.0, "640"),
        (12345.0, "1.2e4"),
        (32, "32"),
        (True, "True"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_have_two_digits(value: object, text: str) -> None:
    assert short_number(value) == text
