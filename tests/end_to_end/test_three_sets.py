"""Three data sets besides the demo's, from the command line to the leaderboard, MLflow and the registered model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_sample_images

from search_spaces.backbones import Interpolation
from service.settings import Home
from tests.errors.cases import meltpoint
from tests.shipped_sets import (
    letters_in_parquet,
    odd_files_in_folders,
    photos_in_folders,
    pictures_in_csv,
    tiles_of_the_hub,
)
from trainables.datasets.images import decode_image

BILINEAR, BICUBIC, SMALL = "torchvision/resnet18", "timm/tf_efficientnet_lite0", "timm/test_efficientnet"

SWEEP = """\
name: NAME
data: DATA
search: {algorithm: points, points: [POINTS]}
budget: {epochs: 1}
resources: {gpu: 0}
"""
POINT = (
    "{backbone: BACKBONE, weights: random, freeze_depth: 0, batch_size: 16, "
    "augment.policy: flip, balance.class_weights: effective}"
)

pytestmark = pytest.mark.slow


def output_of(*arguments: str, home: Home) -> Any:
    """Return the JSON that a command prints."""
    result = meltpoint([*arguments, "-o", "json", "--home", str(home.root)])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("make", "backbones", "classes"),
    [
        (photos_in_folders, [BILINEAR], {"china": 60, "flower": 60}),
        (pictures_in_csv, [SMALL], {"logo": 40, "portrait": 40, "present": 40}),
        (letters_in_parquet, [BICUBIC, BILINEAR], {"Sans": 52, "SansMono": 52, "Serif": 52}),
        (odd_files_in_folders, [SMALL], {"china": 45, "flower": 45}),
        (tiles_of_the_hub, [SMALL], {"portrait": 40, "present": 40}),
    ],
    ids=["folder", "csv", "parquet", "odd-files", "hub"],
)
def test_a_set_runs_from_its_files_to_a_registered_model(
    make: Callable[[Path], str],
    backbones: Sequence[str],
    classes: dict[str, int],
    home: Home,
    ray_once: None,
    tracks_home: None,
    tmp_path: Path,
) -> None:
    name = f"set-{make.__name__.partition('_')[0]}"
    points = ", ".join(POINT.replace("BACKBONE", backbone) for backbone in backbones)
    spec = SWEEP.replace("NAME", name).replace("DATA", make(tmp_path / "set")).replace("POINTS", points)
    (tmp_path / "sweep.yaml").write_text(spec)
    outcome = output_of("run", str(tmp_path / "sweep.yaml"), home=home)

    assert (outcome["state"], outcome["error"]) == ("completed", None)
    assert outcome["counts"] == {"completed": len(backbones), "pruned": 0, "failed": 0}
    data = output_of("status", outcome["sweep_id"], home=home)["data"]
    assert {label: sum(splits.values()) for label, splits in data["classes"].items()} == classes
    assert all(splits[part] > 0 for splits in data["classes"].values() for part in ("train", "val", "test"))
    assert data["skipped"] == {}

    trials = output_of("trials", outcome["sweep_id"], home=home)
    assert sorted(trial["recipe"]["backbone"] for trial in trials) == sorted(backbones)
    assert all(math.isfinite(trial["metrics"]["best/val/accuracy"]) for trial in trials)
    assert trials[0]["trial_id"] == outcome["best"]["trial_id"]

    client = MlflowClient(tracking_uri=home.tracking_uri)
    query = f"tags.`meltpoint.sweep_id` = '{outcome['sweep_id']}'"
    runs = client.search_runs([outcome["mlflow"]["experiment_id"]], filter_string=query)
    assert len(runs) == len(backbones) + 1
    check_served(outcome)


def check_served(outcome: dict[str, Any]) -> None:
    """Check that the registered model resizes a photo of any size like the best trial's images."""
    model = mlflow.pyfunc.load_model(outcome["registered"]["uri"])
    assert model.metadata is not None
    wanted: Interpolation = "bicubic" if outcome["best"]["recipe"]["backbone"] in (BICUBIC, SMALL) else "bilinear"
    assert model.metadata.metadata["interpolation"] == wanted
    whole = load_sample_images().images[0][:90, :120].copy()
    as_trained = decode_image(whole, 32, wanted)
    predicted = np.asarray(model.predict(whole[None]))
    np.testing.assert_allclose(predicted, np.asarray(model.predict(as_trained[None])), rtol=0, atol=1e-6)
