"""The outcome of a training by a recipe: its scores, and how they compare with what the recipe promises."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from service.exports import Interval, RecipeFile
from service.shares import wilson_bounds

__all__ = ["Promise", "SplitScore", "TrainingOutcome", "wilson_interval"]

_LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class SplitScore:
    """The metrics of a trained model on a split, by measure.

    interval: of the model's accuracy on images like these; it sees the noise of images, not that of seeds.
    """

    split: str
    images: int
    metrics: dict[str, float]
    interval: Interval | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the score for `-o json`; a metric that is not finite is null."""
        metrics = {name: value if math.isfinite(value) else None for name, value in self.metrics.items()}
        interval = None if self.interval is None else self.interval.model_dump()
        return {"images": self.images, "metrics": metrics, "accuracy_interval": interval}


@dataclass(frozen=True, kw_only=True)
class Promise:
    """The recipe's expected score beside that of a training.

    obstacles: why the expected score says nothing about this training; empty if it does. interval: in which the score
    of a single new training on these images falls. score: of the training, on the same images; None if it was not
    measured. same_seed: score of the sweep's training with the same seed; None if it had none.
    """

    measure: str
    split: str
    expected: float
    obstacles: tuple[str, ...] = ()
    interval: Interval | None = None
    score: float | None = None
    same_seed: float | None = None

    @property
    def is_kept(self) -> bool | None:
        """True if the score falls into the interval; None if nothing was promised about it."""
        if self.obstacles or self.interval is None or self.score is None:
            return None
        return self.interval.low <= self.score <= self.interval.high

    def sentence(self) -> str:
        """Return in words how the score compares with the promise."""
        if self.obstacles:
            return f"the recipe's expected score says nothing about this training: {'; '.join(self.obstacles)}"
        assert self.score is not None
        seen = f"{self.split}/{self.measure} {self.score:.4f}"
        if self.interval is None:
            return f"{seen}; the sweep saw {self.expected:.4f}. The recipe is unconfirmed and promises no interval"
        where = "lies inside" if self.is_kept else "lies OUTSIDE"
        ends = f"{self.interval.low:.4f} to {self.interval.high:.4f}"
        text = f"{seen} {where} the promised interval, {ends} ({100 * self.interval.level:g} % for a single training)"
        if self.same_seed is not None:
            text += f"; the confirmation's training with this seed had {self.same_seed:.4f}"
        return text

    def as_json(self) -> dict[str, Any]:
        """Return the comparison for `-o json`."""
        return {
            "measure": self.measure,
            "split": self.split,
            "expected": self.expected,
            "interval": None if self.interval is None else self.interval.model_dump(),
            "score": self.score,
            "is_kept": self.is_kept,
            "same_seed": self.same_seed,
            "obstacles": list(self.obstacles),
        }


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """A finished training.

    best_epoch: the epoch whose weights the model has. model_uri: of the model in MLflow; None if MLflow has not taken
    it, for the reason `tracking_error`; the model then lies in `saved`.
    """

    file: RecipeFile
    seed: int
    epochs: int
    best_epoch: int
    full_data: bool
    device: str
    seconds: float
    scores: tuple[SplitScore, ...]
    promise: Promise
    experiment: str
    tracking_uri: str
    run_id: str | None = None
    model_uri: str | None = None
    tracking_error: str | None = None
    saved: str | None = None
    notices: tuple[str, ...] = field(default=())

    def score_on(self, split: str) -> SplitScore | None:
        """Return the score on a split; None if the split was not read."""
        return next((score for score in self.scores if score.split == split), None)

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for `-o json`."""
        return {
            "recipe": self.file.hyperparameters.identity,
            "sweep": self.file.chosen.sweep,
            "chosen": self.file.chosen.how,
            "seed": self.seed,
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "full_data": self.full_data,
            "device": self.device,
            "seconds": round(self.seconds, 3),
            "scores": {score.split: score.as_json() for score in self.scores},
            "promise": self.promise.as_json(),
            "notices": list(self.notices),
            "mlflow": {
                "tracking_uri": self.tracking_uri,
                "experiment": self.experiment,
                "run_id": self.run_id,
                "model_uri": self.model_uri,
                "error": self.tracking_error,
            },
            "saved": self.saved,
        }


def wilson_interval(share: float, images: int) -> Interval:
    """Return the 95 % interval of a share of images."""
    low, high = wilson_bounds(share, images)
    return Interval(low=low, high=high, level=_LEVEL)
