"""A trial's model as its best epoch left it."""

from __future__ import annotations

from search_spaces import Recipe
from service.ledgers import Trial
from trainables.activations import SharingSettings
from trainables.classifiers import Classifier, Ensemble
from trainables.devices.tensors import NestedTensors
from trainables.stores.prepared import PreparedData
from trainables.training.checkpoints import load_checkpoint
from trainables.training.trained_models import build_trained_model, read_planned_epochs
from trainables.training.trainer import Trainer

__all__ = ["best_model", "best_trainer"]


def best_model(trial: Trial, data: PreparedData) -> Classifier | Ensemble:
    """Return the model on the CPU; data: the images that it was trained on.

    Raises:
        CheckpointError: the model's checkpoint is gone or damaged.
        StoreError: its store cannot be reached.
    """
    return build_trained_model(data, Recipe.from_flat(trial.recipe), seed=trial.seed, state=_state(trial))


def best_trainer(trial: Trial, data: PreparedData, sharing: SharingSettings) -> Trainer:
    """Return the trial's trainer with the state of the best epoch. Raises the errors of `best_model`."""
    state = _state(trial)
    recipe, epochs = Recipe.from_flat(trial.recipe), read_planned_epochs(state)
    trainer = Trainer(data, recipe, seed=trial.seed, epochs=epochs, sharing=sharing)
    trainer.load_state_dict(state)
    return trainer


def _state(trial: Trial) -> NestedTensors:
    assert trial.checkpoint is not None, trial
    return load_checkpoint(trial.checkpoint).tensors
