"""The training itself: epoch after epoch, with the weights of the best epoch on val, or of the last without val."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from search_spaces import Metric
from service.ledgers import EpochRow
from service.trainings.outcomes import SplitScore, wilson_interval
from service.trainings.preparation import Prepared
from service.trainings.requests import TrainingRequest
from trainables.classifiers import Classifier, Ensemble
from trainables.devices.tensors import NestedTensors
from trainables.errors import DivergedError
from trainables.training import Evaluation, add_own_metrics, own_metric_names
from trainables.training.checkpoints import on_cpu
from trainables.training.trained_models import build_trained_model
from trainables.training.trainer import Trainer

__all__ = ["Trained", "train"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A trained model: the weights after `best_epoch`, in the state `state` of its trainer."""

    trainer: Trainer
    best_epoch: int
    best_value: float | None
    state: NestedTensors
    metric_names: tuple[str, ...]

    def read(self, split: str) -> SplitScore | None:
        """Score the model on a split; None if the split has no images. Raises DivergedError, OwnCodeError."""
        images = len(self.trainer.data.splits[split])
        if images == 0:
            return None
        metrics = _with_own(self.trainer.evaluate(split), self.metric_names).metrics
        # The best epoch was chosen on val, so that an interval from val would lie too high.
        interval = None if split == "val" else wilson_interval(metrics["accuracy"], images)
        return SplitScore(split=split, images=images, metrics=dict(metrics), interval=interval)

    def classifier(self) -> Classifier | Ensemble:
        """Return the model on the CPU, without anything that only training needs."""
        trainer = self.trainer
        return build_trained_model(trainer.data, trainer.recipe, seed=trainer.seed, state=self.state)


def train(request: TrainingRequest, prepared: Prepared, *, epoch_ended: Callable[[EpochRow], None]) -> Trained:
    """Train to the end, and return the model of the best epoch; on all data, that of the last.

    epoch_ended: called with the readings of each epoch.

    Raises:
        DivergedError: the training diverged before any epoch gave a finite value.
    """
    file, epochs = request.file, request.epochs
    trainer = Trainer(
        prepared.data,
        prepared.recipe,
        seed=request.chosen_seed,
        device=prepared.device,
        epochs=file.training.epochs,  # schedules depend on it
        sharing=prepared.sharing,
    )
    names = own_metric_names(file.training.metric)
    best: tuple[int, float | None, NestedTensors] | None = None
    for _ in range(epochs):
        row = _run_epoch(trainer, names, full_data=request.full_data)
        epoch_ended(row)
        value = row.readings["val"][Metric(file.training.metric).measure] if "val" in row.readings else None
        if value is None:
            best = (row.epoch, None, {}) if row.epoch < epochs else (row.epoch, None, on_cpu(trainer.state_dict()))
        elif math.isfinite(value) and file.goal.is_better(value, None if best is None else best[1]):
            best = row.epoch, value, on_cpu(trainer.state_dict())
    if best is None:
        raise DivergedError(f"no epoch gave a finite {file.training.metric}: nothing can be kept")
    epoch, value, state = best
    trainer.load_state_dict(state)
    return Trained(trainer=trainer, best_epoch=epoch, best_value=value, state=state, metric_names=names)


def _run_epoch(trainer: Trainer, names: tuple[str, ...], *, full_data: bool) -> EpochRow:
    started = time.perf_counter()
    if full_data:
        readings = {"train": trainer.train_epoch()}
    else:
        result = trainer.run_epoch()
        readings = {"train": dict(result.train), "val": dict(_with_own(result.val, names).metrics)}
    return EpochRow(
        epoch=trainer.epoch,
        seconds=time.perf_counter() - started,
        recorded_at=time.time_ns() // 1_000_000,
        readings=readings,
    )


def _with_own(evaluation: Evaluation, names: tuple[str, ...]) -> Evaluation:
    return add_own_metrics(evaluation, names)
