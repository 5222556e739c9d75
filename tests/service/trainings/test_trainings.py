"""Trainings by recipe files: their scores, the recipe's promise, and what MLflow has of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import mlflow
import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from PIL import Image
from safetensors.torch import save_file

from search_spaces import DataSpec, Recipe
from search_spaces.spaces import write_point
from service.errors import TrackingError
from service.exports import RecipeFile, write_recipe
from service.exports.recipe_files import FORMAT
from service.settings import Home
from service.trainings import TrainingOutcome, TrainingRequest
from service.trainings.training import train_by_recipe
from trainables.errors import DataError
from trainables.stores.prepared import PreparedData, prepare_data
from trainables.training.checkpoints import load_checkpoint
from trainables.weights.digests import weights_digest

BACKBONE = "timm/test_efficientnet"
VALUES = {"backbone": BACKBONE, "weights": "random", "freeze_depth": "all", "optimizer.lr": 0.02, "batch_size": 16}
SPLIT = {"val": 0.2, "confirm": 0.1, "test": 0.2, "seed": 0, "group": None}
ANYTHING = {"low": 0.0, "high": 1.0, "level": 0.95}
NOTHING = {"low": 0.0, "high": 0.01, "level": 0.95}


@dataclass
class Log:
    """A listener that keeps what it hears."""

    notices: list[str] = field(default_factory=list)
    epochs: list[tuple[int, int]] = field(default_factory=list)

    def working(self, activity: str) -> None: ...

    def images_decoded(self, done: int, total: int) -> None: ...

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def epoch_ended(self, epoch: int, epochs: int, values: dict[str, float], seconds: float) -> None:
        assert values["train/loss"] > 0
        assert seconds > 0
        self.epochs.append((epoch, epochs))


@pytest.fixture
def photos(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "photos"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Home(tmp_path / "home").create()


def prepared(photos: Path, home: Home) -> PreparedData:
    return prepare_data(DataSpec(source=str(photos), image_size=32), base_dir=photos.parent, root=home.data)


def recipe_for(data: PreparedData, interval: dict[str, float] | None = None, **values: Any) -> RecipeFile:
    """Return the recipe file of a sweep on these images; with an interval it is confirmed."""
    recipe = Recipe.from_flat(VALUES | {name.replace("__", "."): value for name, value in values.items()})
    return RecipeFile.from_data(
        {
            "format": FORMAT,
            "chosen": {
                "how": "confirmed" if interval else "unconfirmed",
                "because": "a test",
                "sweep": "s-7f3a9c",
                "name": "cells",
                "trials": 12,
            },
            "recipe": write_point(recipe.flat()),
            "backbone": {
                "name": recipe.backbone,
                "frozen_stages": recipe.freeze_depth,
                "weights_sha256": weights_digest(recipe.backbone, recipe.weights),
            },
            "data": {
                "name": "photos",
                "source": "photos",
                "split": SPLIT,
                "image_size": 32,
                "interpolation": "bilinear",
                "classes": list(data.classes),
                "digest": data.digest,
                "splits": data.digests_by_split(),
            },
            "training": {
                "epochs": 3,
                "metric": "val/accuracy",
                "goal": "maximize",
                "seeds": [11, 12],
                "best_epochs": [1, 2],
                "full_data_epochs": 2,
            },
            "score": {
                "measure": "accuracy",
                "split": "confirm" if interval else "val",
                "images": 12 if interval else 24,
                "value": 0.75,
                "by_seed": [0.7, 0.8],
                "training_interval": interval,
            },
            "versions": {},
            "command": "meltpoint train recipe.yaml",
            "claim": "0",
        }
    ).signed()


Train = Callable[..., TrainingOutcome]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def train(photos: Path, place: Home, log: Log) -> Train:
    """Return a function that trains by a recipe file which lies beside the photos."""

    def run(file: RecipeFile, **options: Any) -> TrainingOutcome:
        path = photos.parent / "recipe.yaml"
        path.write_text(write_recipe(file))
        return train_by_recipe(TrainingRequest(file=file, path=path, **options), home=place, listener=log)

    return run


def invert(photos: Path, data: PreparedData, split: str) -> None:
    """Invert the first image of a split."""
    file = sorted(photos.rglob("*.png"))[int(data.splits[split][0])]
    Image.fromarray(255 - np.asarray(Image.open(file))).save(file)


def test_a_score_inside_the_promised_interval_is_told_and_recorded(
    train: Train, photos: Path, place: Home, log: Log
) -> None:
    data = prepared(photos, place)
    outcome = train(recipe_for(data, ANYTHING))

    assert log.epochs == [(1, 3), (2, 3), (3, 3)]
    assert (outcome.seed, outcome.epochs, outcome.device) == (11, 3, "cpu")
    assert [(score.split, score.images) for score in outcome.scores] == [("val", 24), ("confirm", 12), ("test", 24)]
    assert outcome.promise.is_kept is True
    assert outcome.promise.same_seed == 0.7
    assert outcome.promise.sentence().endswith("the confirmation's training with this seed had 0.7000")
    assert "lies inside the promised interval, 0.0000 to 1.0000" in outcome.promise.sentence()

    client = MlflowClient(tracking_uri=place.tracking_uri)
    assert client.get_experiment_by_name("cells-production") is not None
    run = client.get_run(str(outcome.run_id))
    tags, metrics = run.data.tags, run.data.metrics
    assert run.info.status == "FINISHED"
    assert (tags["meltpoint.kind"], tags["meltpoint.from_sweep"]) == ("training", "s-7f3a9c")
    assert (tags["meltpoint.read.test"], tags["meltpoint.read.confirm"]) == ("train", "train")
    assert tags["meltpoint.promise.is_kept"] == "true"
    assert (run.data.params["seed"], run.data.params["optimizer.lr"]) == ("11", "0.02")
    test = outcome.score_on("test")
    assert test is not None
    assert metrics["test/accuracy"] == test.metrics["accuracy"]
    assert metrics["best/val/accuracy"] == max(
        point.value for point in client.get_metric_history(run.info.run_id, "val/accuracy")
    )


def test_the_logged_model_predicts_as_it_was_measured(
    train: Train, photos: Path, place: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepared(photos, place)
    outcome = train(recipe_for(data))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.tracking_uri)
    model = mlflow.pyfunc.load_model(outcome.model_uri)
    rows = data.splits["test"]
    predicted = np.asarray(model.predict(data.images[rows])).argmax(axis=1)
    test = outcome.score_on("test")
    assert test is not None
    assert float((predicted == data.labels[rows]).mean()) == test.metrics["accuracy"]


def test_a_score_outside_the_interval_is_told_too(train: Train, photos: Path, place: Home) -> None:
    outcome = train(recipe_for(prepared(photos, place), NOTHING), seed=5)
    assert outcome.promise.is_kept is False
    assert outcome.promise.same_seed is None
    assert "lies OUTSIDE the promised interval" in outcome.promise.sentence()
    assert outcome.as_json()["promise"]["is_kept"] is False


def test_the_same_seed_gives_the_same_model(train: Train, photos: Path, place: Home) -> None:
    file = recipe_for(prepared(photos, place))
    first, again, other = train(file), train(file), train(file, seed=12)
    assert [score.metrics for score in first.scores] == [score.metrics for score in again.scores]
    assert first.scores[0].metrics["loss"] != other.scores[0].metrics["loss"]


def test_an_unconfirmed_recipe_promises_nothing_and_leaves_confirm_unread(
    train: Train, photos: Path, place: Home
) -> None:
    outcome = train(recipe_for(prepared(photos, place)))
    assert [score.split for score in outcome.scores] == ["val", "test"]
    assert outcome.promise.is_kept is None
    assert "The recipe is unconfirmed and promises no interval" in outcome.promise.sentence()


def test_a_file_changed_by_hand_loses_its_claim(train: Train, photos: Path, place: Home, log: Log) -> None:
    file = recipe_for(prepared(photos, place), ANYTHING)
    changed = file.model_copy(update={"recipe": file.recipe | {"batch_size": 8}})
    outcome = train(changed)
    assert outcome.promise.obstacles == ("recipe.yaml was changed by hand after its export",)
    assert outcome.promise.is_kept is None
    assert outcome.score_on("confirm") is None
    (notice,) = log.notices
    assert notice.startswith("recipe.yaml was changed by hand after its export: its claim is dropped")
    assert outcome.notices == (notice,)
    assert outcome.as_json()["notices"] == [notice]


def test_changed_images_are_noticed_with_their_split(train: Train, photos: Path, place: Home) -> None:
    data = prepared(photos, place)
    file = recipe_for(data, ANYTHING)
    invert(photos, data, "test")
    outcome = train(file)
    assert outcome.promise.obstacles == ("the images or their splits have changed since the sweep (in test)",)


def test_the_same_images_elsewhere_keep_the_claim(train: Train, photos: Path, place: Home, tmp_path: Path) -> None:
    file = recipe_for(prepared(photos, place), ANYTHING)
    moved = photos.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="if the images lie elsewhere, give their place with --data"):
        train(file)
    outcome = train(file, data=str(moved))
    assert outcome.promise.is_kept is True


def test_other_images_with_the_same_classes_are_noticed(
    train: Train, photos: Path, place: Home, tmp_path: Path
) -> None:
    data = prepared(photos, place)
    file = recipe_for(data, ANYTHING)
    other = Path(shutil.copytree(photos, tmp_path / "others"))
    invert(other, data, "train")
    (obstacle,) = train(file, data=str(other)).promise.obstacles
    assert obstacle == f"--data {other} has other images than the sweep"


def test_other_images_with_other_classes_train_without_a_claim(
    train: Train, photos: Path, place: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = recipe_for(prepared(photos, place), ANYTHING)
    other = tmp_path / "others"
    for name in ("one", "two"):
        shutil.copytree(photos / name, other / f"class-{name}")
    outcome = train(file, data=str(other))
    assert outcome.promise.obstacles == (
        f"--data {other} has other classes than the sweep (2: class-one, class-two, not 3: one, two, zero)",
    )
    assert outcome.notices[-1].endswith("(2: class-one, class-two, not 3: one, two, zero)")
    assert outcome.score_on("test") is not None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.tracking_uri)
    info = mlflow.models.get_model_info(str(outcome.model_uri))
    assert info.metadata is not None
    assert info.metadata["classes"] == ["class-one", "class-two"]


def test_changed_weights_are_noticed(train: Train, photos: Path, place: Home, tmp_path: Path) -> None:
    from trainables.architectures import find_architecture

    weights = tmp_path / "w.safetensors"
    tensors = {name: t.contiguous() for name, t in find_architecture(BACKBONE).build().state_dict().items()}
    save_file(tensors, weights)
    file = recipe_for(prepared(photos, place), ANYTHING, weights=str(weights))
    save_file({name: t + 1 if t.dtype == torch.float32 else t for name, t in tensors.items()}, weights)
    (obstacle,) = train(file).promise.obstacles
    assert obstacle.startswith("the starting weights have changed: SHA-256 ")


def test_full_data_trains_on_all_but_test_for_the_best_number_of_epochs(
    train: Train, photos: Path, place: Home, log: Log
) -> None:
    outcome = train(recipe_for(prepared(photos, place), ANYTHING), full_data=True)
    assert log.epochs == [(1, 2), (2, 2)]
    assert outcome.best_epoch == 2
    assert [(score.split, score.images) for score in outcome.scores] == [("test", 24)]
    assert outcome.promise.is_kept is None
    assert "this one has all images but test" in outcome.promise.sentence()
    assert outcome.model_uri is not None


def test_without_mlflow_nothing_is_trained(
    train: Train, photos: Path, place: Home, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = recipe_for(prepared(photos, place))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:9 cannot be written, so nothing was trained"):
        train(file)
    assert log.epochs == []


def test_a_model_that_mlflow_does_not_take_is_kept(train: Train, photos: Path, place: Home) -> None:
    file = recipe_for(prepared(photos, place))
    with mock.patch("mlflow.pytorch.save_model", side_effect=MlflowException("the disk is full")):
        outcome = train(file)
    assert outcome.model_uri is None
    assert outcome.tracking_error is not None
    assert ": the disk is full; see that " in outcome.tracking_error
    assert outcome.saved is not None
    assert load_checkpoint(Path(outcome.saved)).tensors
    run = MlflowClient(tracking_uri=place.tracking_uri).get_run(str(outcome.run_id))
    assert run.info.status == "FAILED"
