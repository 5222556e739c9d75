"""A request to train by a recipe file, and the listener that hears how it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.exports import RecipeFile

__all__ = ["TrainingListener", "TrainingRequest"]


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """A training to run.

    file: the recipe. path: of its file, in whose folder relative paths start. data: another source of images, from the
    working folder; None for the recipe's. full_data: train on all images but test. seed: None for the recipe's first.
    """

    file: RecipeFile
    path: Path
    data: str | None = None
    full_data: bool = False
    seed: int | None = None

    @property
    def chosen_seed(self) -> int:
        """The seed of the training."""
        return self.file.training.seeds[0] if self.seed is None else self.seed

    @property
    def epochs(self) -> int:
        """Number of epochs to train; on all data the recipe's median best epoch, since no val finds one.

        Source: Goodfellow, Bengio & Courville 2016, Deep Learning, section 7.8, algorithm 7.2: train again on all data
        for as long as early stopping did.
        """
        training = self.file.training
        return training.full_data_epochs if self.full_data else training.epochs


class TrainingListener(Protocol):
    """Hears how a training goes. All methods are called by the thread that trains."""

    def working(self, activity: str) -> None:
        """Hear of an activity that takes a moment."""

    def images_decoded(self, done: int, total: int) -> None:
        """Hear how many images are decoded."""

    def notice(self, text: str) -> None:
        """Hear of a fact that the user should know."""

    def epoch_ended(self, epoch: int, epochs: int, values: dict[str, float], seconds: float) -> None:
        """Hear of a finished epoch; values: by published name, such as `train/loss`."""
