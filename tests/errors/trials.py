"""Errors that end a single trial while its sweep goes on. The trials train in this process, by the worker's code."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import torch

from search_spaces import MeltpointError, load_spec
from tests.errors.cases import Case, Section
from tests.errors.folders import Folder
from tests.prepared_images import images_of
from trainables.stores.prepared import PreparedData, prepare_data
from trainables.trials import TrialPlan
from trainables.trials.trial import TrialTraining

FAST = "optimizer: {name: adamw, lr: 100, weight_decay: 1}"


def trial(folder: Folder, space: str, *lines: str, before: Callable[[PreparedData], object] = id) -> str:
    """Return the error of a trial of a small sweep's default recipe; `before` may damage the prepared data."""
    folder.photos()
    weights = "backbone: torchvision/resnet18, weights: random, freeze_depth: all"
    folder.sweep("photos", f"space: {{{weights}, {space}}}", *lines)
    spec = load_spec(folder.path / "sweep.yaml")
    recipe = spec.space.recipe(spec.space.default())
    data = prepare_data(spec.data.resized_for(recipe.backbone), base_dir=folder.path, root=folder.home / "data")
    before(data)
    plan = TrialPlan(
        recipe=recipe.flat(),
        seed=0,
        epochs=spec.budget.epochs,
        report_at=(),
        **images_of(data),
        folder=str(folder.path / "trial"),
        metric=spec.metric.name,
        goal=spec.metric.goal,
        code=str(folder.path),
    )
    try:
        training = TrialTraining(plan)
        while not training.advance()["done_training"]:
            pass
    except MeltpointError as error:
        return str(error)
    raise AssertionError("the trial did not fail")


def out_of_memory(folder: Folder) -> str:
    """Fail with torch's error of a GPU whose memory is full."""
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    with mock.patch.object(torch.nn.functional, "cross_entropy", side_effect=error):
        return trial(folder, "batch_size: 4")


def changed_file(folder: Folder) -> str:
    return trial(
        folder,
        "batch_size: 4",
        "data: {source: photos, image_size: 24, disk: 100}",
        before=lambda _: folder.photos(classes=("dog", "cat")),
    )


def full_folder(folder: Folder) -> str:
    (folder.path / "trial").mkdir(mode=0o500)
    return trial(folder, "batch_size: 4")


TRIALS = Section(
    "A trial",
    "The trial fails, and the sweep goes on. If every trial of a `run` fails:",
    1,
    [
        Case(
            "a learning rate of 100 and a weight decay of 1",
            lambda folder: trial(folder, f"batch_size: 1, {FAST}", "budget: {epochs: 9}"),
            {r"epoch \d+": "epoch 4", "the loss is [-a-z]+": "the loss is nan"},
        ),
        Case("a GPU whose memory one image fills", out_of_memory, {"^cpu": "cuda:0"}),
        Case("a streamed photo that changed", changed_file),
        Case(
            "a trial's folder that cannot be written",
            full_folder,
            {r"epoch-000001-[0-9a-f]{64}": "epoch-000001-DIGEST"},
        ),
    ],
)
