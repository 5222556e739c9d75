"""The model before and after a training, and checks that a saved state belongs to a training."""

from __future__ import annotations

import hashlib
import json

import torch
from torch import Tensor

from search_spaces.recipes import Recipe
from trainables.classifiers import Classifier, Ensemble, build_classifier
from trainables.devices.tensors import NestedTensors
from trainables.errors import CheckpointError
from trainables.stores.prepared import PreparedData
from trainables.training.averages import build_averaging
from trainables.training.state import write_model

__all__ = ["build_trained_model", "build_untrained_model", "fingerprint", "read_finished_epochs", "read_planned_epochs"]


def read_planned_epochs(state: NestedTensors) -> int:
    """Return how many epochs the training that left this state was planned to have."""
    epochs = state.get("epochs")
    return int(epochs) if isinstance(epochs, Tensor) else 1


def build_trained_model(
    data: PreparedData, recipe: Recipe, *, seed: int, state: NestedTensors
) -> Classifier | Ensemble:
    """Build the model of a training's `state`, on the CPU, without anything that only training needs.

    Its predictions equal those of the training's evaluation.

    Raises:
        CheckpointError: the state belongs to another recipe, seed or data set.
    """
    read_finished_epochs(state, data, recipe, seed)
    averaging = build_averaging(recipe.averaging)
    averages = state.get("averaging", {})
    assert not isinstance(averages, Tensor)
    averaging.load(averages)
    members = []
    for weights in averaging.members():
        model = build_untrained_model(data, recipe, seed)
        write_model(model, state.get("model", {}) if weights is None else weights)
        members.append(model)
    return members[0] if len(members) == 1 else Ensemble(members)


def build_untrained_model(data: PreparedData, recipe: Recipe, seed: int) -> Classifier:
    """Build the model with which a training of the recipe begins."""
    return build_classifier(
        recipe.backbone,
        classes=len(data.classes),
        weights=recipe.weights,
        head=recipe.head,
        dropout=recipe.dropout,
        image_size=int(data.images.shape[1]),
        freeze_depth=recipe.freeze_depth,
        seed=seed,
    )


def read_finished_epochs(state: NestedTensors, data: PreparedData, recipe: Recipe, seed: int) -> int:
    """Return the finished epochs of a state. Raises CheckpointError if the state belongs to another training."""
    epoch, training = state.get("epoch"), state.get("training")
    if not isinstance(epoch, Tensor) or not isinstance(training, Tensor):
        raise CheckpointError("checkpoint must hold a training's state")
    if not torch.equal(training, fingerprint(data, recipe, seed)):
        ours = f"recipe {recipe.identity}, seed {seed} and data {data.digest}"
        raise CheckpointError(f"checkpoint must be of {ours}, but it is of another training")
    return int(epoch)


def fingerprint(data: PreparedData, recipe: Recipe, seed: int) -> Tensor:
    """Return the SHA-256 of what tells this training from others, as 32 bytes."""
    identity = json.dumps([recipe.identity, seed, data.digest])
    return torch.tensor(list(hashlib.sha256(identity.encode()).digest()), dtype=torch.uint8)
