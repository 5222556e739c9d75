"""A trial's model as its best epoch left it."""

from __future__ import annotations

from pathlib import Path

from search_spaces import Recipe
from service.records import Trial
from trainables.checkpoints import load_checkpoint
from trainables.prepared import PreparedData
from trainables.sharing import SharingPlan
from trainables.training import Trainer

__all__ = ["trained"]


def trained(trial: Trial, data: PreparedData, sharing: SharingPlan | None = None) -> Trainer:
    """The trial's trainer as it stood after its best epoch; data: what it was trained on.

    Raises CheckpointError where its checkpoint is gone or damaged.
    """
    assert trial.checkpoint is not None, trial
    trainer = Trainer(data, Recipe.from_flat(trial.recipe), seed=trial.seed, sharing=sharing)
    trainer.load_state_dict(load_checkpoint(Path(trial.checkpoint)).tensors)
    return trainer
