"""Errors of export and train."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from unittest import mock

from service.exports import write_recipe
from service.ledgers import Ending, Ledger, SweepState, TrialState
from tests.errors.cases import Case, Section
from tests.errors.folders import Folder
from tests.errors.going_on import sweep_in
from tests.errors.machines import at_home
from tests.service.exports.files import recipe_file

_SMALL = {"backbone": "torchvision/resnet18", "weights": "random"}


def with_failed_trials(ledger: Ledger) -> None:
    """Make a sweep whose two trials have failed."""
    sweep_in(SweepState.RUNNING)(ledger)
    sweep = ledger.sweeps.find("last")
    ledger.trials.create(sweep.id, number=1, point={}, recipe={}, identity="", seed=0)
    for trial in ledger.trials.list(sweep.id):
        ledger.trials.start_attempt(trial.id)
        ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.FAILED, error="no memory"))
    ledger.sweeps.move(sweep.id, SweepState.FAILED)


def over_a_file(folder: Folder) -> Sequence[str]:
    folder.write("recipe.yaml", "mine")
    return at_home("export", "last", "-f", "recipe.yaml")(folder)


def a_list(folder: Folder) -> Sequence[str]:
    folder.write("recipe.yaml", "- 1\n")
    return ["train", "recipe.yaml"]


def train(old: str = "", new: str = "", *options: str) -> Callable[[Folder], Sequence[str]]:
    """Return a function that writes a recipe file, changed by hand, and trains by it."""

    def make(folder: Folder) -> Sequence[str]:
        text = write_recipe(recipe_file(_SMALL))
        assert old in text, old
        folder.write("recipe.yaml", text.replace(old, new, 1))
        return ["train", "recipe.yaml", *options, "--home", str(folder.home)]

    return make


def train_without_mlflow(folder: Folder) -> Sequence[str]:
    folder.photos("cells", ("bad", "good"))
    surroundings = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    folder.during.enter_context(mock.patch.dict(os.environ, surroundings))
    return train()(folder)


def train_without_artifacts(folder: Folder) -> Sequence[str]:
    folder.photos("cells", ("bad", "good"))
    folder.home.mkdir(exist_ok=True)
    artifacts, aside = folder.home / "mlflow-artifacts", folder.home / "artifacts-aside"
    if artifacts.exists():  # those of other tests
        artifacts.rename(aside)
        folder.during.callback(aside.rename, artifacts)
    artifacts.write_text("")
    folder.during.callback(artifacts.unlink)
    return train()(folder)


EXPORTS = Section(
    "Export a recipe",
    "The sweep has one trial, which has not finished, unless a row says more.",
    2,
    [
        Case(
            "`meltpoint export last`, which waits for its turn",
            at_home("export", "last", make=sweep_in(SweepState.QUEUED)),
        ),
        Case(
            "`meltpoint export last`, which was cancelled",
            at_home("export", "last", make=sweep_in(SweepState.CANCELLED)),
        ),
        Case("`meltpoint export last`; both trials have failed", at_home("export", "last", make=with_failed_trials)),
        Case("`meltpoint export last -f recipe.yaml` over a file", over_a_file),
        Case("`meltpoint export last -f nowhere/recipe.yaml`", at_home("export", "last", "-f", "nowhere/recipe.yaml")),
        Case("`meltpoint export last --format keras`", at_home("export", "last", "--format", "keras")),
        Case("`meltpoint train recipe.yaml`, which does not exist", lambda _: ["train", "recipe.yaml"]),
        Case(
            "`meltpoint train recipe.yaml`, which is a sweep file",
            train("format: meltpoint-recipe-1\n", "name: cells\n"),
        ),
        Case("a recipe file with a list", a_list),
        Case("a recipe file with `lr: fast`", train("lr: 0.001", "lr: fast")),
        Case("a recipe file with `epocs: 6`", train("epochs: 6", "epocs: 6")),
        Case("a recipe file with another seed added", train("  - 7\n", "  - 7\n  - 8\n")),
    ],
)
TRAININGS = Section(
    "Train by a recipe",
    "The recipe file is right.",
    1,
    [
        Case("`meltpoint train recipe.yaml`, whose images were moved", train("source: cells", "source: ./cells")),
        Case("`meltpoint train recipe.yaml --data ./nowhere`", train("", "", "--data", "./nowhere")),
        Case("`meltpoint train recipe.yaml` while MLflow does not answer", train_without_mlflow),
        Case("`meltpoint train recipe.yaml`; the home's `mlflow-artifacts` is a file", train_without_artifacts),
    ],
)
