"""The training of one recipe, an epoch at a time: the same on every run with the same recipe, seed and data."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces.backbones import written_freeze_depth
from search_spaces.recipes import Recipe
from trainables.activations import SharingSettings
from trainables.activations.features import Features
from trainables.augmentations import Blend, draw_blend
from trainables.devices.depthwise import depthwise_mode
from trainables.devices.devices import get_random_state, resolve_device, seeded, set_random_state
from trainables.devices.precision import autocast, build_scaler, check_precision, read_scaler, write_scaler
from trainables.devices.tensors import NestedTensors
from trainables.errors import CheckpointError, DataError, DivergedError
from trainables.stores.prepared import PreparedData
from trainables.training.averages import build_averaging, using_weights
from trainables.training.balance import compute_class_weights, cut_batches, draw_epoch_order, mean_loss
from trainables.training.evaluation import Evaluation, score
from trainables.training.micro_batches import MicroBatches
from trainables.training.optimizers import build_optimizer
from trainables.training.penalties import build_penalty
from trainables.training.schedules import SchedulePosition, depends_on_length, ends_cycle, learning_rate_factor
from trainables.training.state import read_model, read_optimizer, trained_parameters, write_model, write_optimizer
from trainables.training.teams import ALONE, Part, Team
from trainables.training.trained_models import (
    build_untrained_model,
    fingerprint,
    read_finished_epochs,
    read_planned_epochs,
)

__all__ = ["EpochResult", "Trainer"]

_EVALUATION_BATCH = 32
_HEAD_EVALUATION_BATCH = 128
"""Batch size if only a head on pooled features is evaluated, which takes very little memory."""

_KEPT_BYTES = 16 * 1024 * 1024
"""Bytes of features that a trial may keep to evaluate its head after every epoch."""

_BLENDING = 1
"""Added to the seed of mixed batches, so that their random numbers differ from those of the order."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochResult:
    """A finished epoch: its number from 1, wall time in seconds, loss and accuracy during training, and val."""

    epoch: int
    seconds: float
    train: dict[str, float]
    val: Evaluation


class Trainer:
    """Trains one recipe on prepared data.

    Batch order and dropout are drawn from (seed, epoch), views from (seed, policy, image, epoch), never from torch's
    global generator. On a CPU, with the same number of threads, a training that is resumed from its saved state gives
    the same bits as one that was never interrupted.

    Args:
        data: prepared images and splits.
        recipe: every hyperparameter.
        seed: seed of all random numbers.
        device: `cpu` or `cuda`.
        micro_batch: most images at once; gradients add up over a batch. It halves by itself if the device's memory runs
            out, see MicroBatches.
        epochs: epochs of the whole training. Some schedules depend on it. With other schedules it changes no result.
        sharing: the node's cache of activations and its expected use, see Features. It changes no result.
        team: the processes that train this recipe together, of which this is one. The result is that of one process up
            to rounding; dropout draws other masks.

    Attributes:
        epoch: number of finished epochs.
        beat: called at every batch, as a sign of life; callers may replace it.

    Raises:
        DeviceError: the device does not exist, or lacks the precision.
        WeightsError: the weights do not fit.
        MeltpointError: the backbone does not take images of this size.
    """

    def __init__(
        self,
        data: PreparedData,
        recipe: Recipe,
        *,
        seed: int,
        device: str = "cpu",
        micro_batch: int | None = None,
        epochs: int = 1,
        sharing: SharingSettings | None = None,
        team: Team = ALONE,
    ) -> None:
        self.data = data
        self.recipe = recipe
        self.seed = seed
        self.team = team
        self.device = resolve_device(device)
        check_precision(recipe.precision, self.device)
        self.epoch, self.epochs = 0, epochs
        self.model = build_untrained_model(data, recipe, seed).place_suffix(self.device)
        self._convolving = depthwise_mode(*(module for _, module in self.model.unfrozen()))
        self._trained = [parameter for _, parameter in trained_parameters(self.model)]
        self.optimizer = build_optimizer(recipe.optimizer, self._trained)
        self.penalty = build_penalty(recipe.penalty, self._trained)
        self.averaging = build_averaging(recipe.averaging)
        weights = compute_class_weights(
            data.labels[data.splits["train"]], len(data.classes), recipe.balance.class_weights
        )
        self._class_weights = None if weights is None else torch.from_numpy(weights).float().to(self.device)
        self.scaler = build_scaler(recipe.precision, self.device)
        self.micro_batches = MicroBatches(self.model, self._trained, self.device, micro_batch, halves=team.size == 1)
        self.beat: Callable[[], None] = lambda: None
        self._kept_features: dict[str, list[Tensor]] = {}
        self.features = Features(data, recipe, seed=seed, device=self.device, epochs=epochs, sharing=sharing)

    @property
    def evaluation_batch(self) -> int:
        """Number of images evaluated at once."""
        return _HEAD_EVALUATION_BATCH if self.model.pooled_in_prefix else _EVALUATION_BATCH

    def run_epoch(self) -> EpochResult:
        """Train on each image of the train split once, then evaluate on val. Raises DivergedError."""
        started = time.perf_counter()
        train = self._train_seeded()
        val = self.evaluate("val")
        self.epoch += 1
        seconds = time.perf_counter() - started
        return EpochResult(epoch=self.epoch, seconds=seconds, train=train, val=val)

    def train_epoch(self) -> dict[str, float]:
        """Train as `run_epoch` does, without an evaluation; return loss and accuracy. Raises DivergedError."""
        train = self._train_seeded()
        self.epoch += 1
        return train

    def evaluate(self, split: str) -> Evaluation:
        """Score the model on a split. Raises DataError if it is empty, DivergedError if predictions are not finite."""
        chosen = self.data.splits[split]
        if len(chosen) == 0:
            raise DataError(f"split {split} of {self.data.name} must hold images (0)")
        self.model.eval()
        members = self.averaging.members()
        part = self.team.part(len(chosen))
        predictions = []
        for weights in members:
            with using_weights(self.model, weights):
                predictions.append(self._predict_batches(self._evaluation_features(split, chosen[part.rows])))
        mine = predictions[0] if len(members) == 1 else np.mean(predictions, axis=0)
        probabilities = mine if part.weight < 1 else np.concatenate(self.team.gather(mine))
        if not np.isfinite(probabilities).all():
            raise self._diverged(f"predictions on {split} are not finite")
        return score(probabilities, self.data.labels[chosen])

    def state_dict(self) -> NestedTensors:
        """Return copies of all that training changes, and the number of finished epochs.

        Frozen stages are left out, since the recipe determines them.
        """
        return {
            "epoch": torch.tensor(self.epoch),
            "epochs": torch.tensor(self.epochs),
            "training": fingerprint(self.data, self.recipe, self.seed),
            "model": read_model(self.model),
            "optimizer": read_optimizer(self.model, self.optimizer),
            "scaler": read_scaler(self.scaler),
            "averaging": self.averaging.state(),
        }

    def load_state_dict(self, state: NestedTensors) -> None:
        """Resume from `state`. Raises CheckpointError if it belongs to another recipe, seed, data set or schedule."""
        epoch = read_finished_epochs(state, self.data, self.recipe, self.seed)
        if depends_on_length(self.recipe.schedule) and read_planned_epochs(state) != self.epochs:
            raise CheckpointError(
                f"checkpoint must be of a training of {self.epochs} epochs: the schedule depends on it"
            )
        write_model(self.model, state.get("model", {}))
        write_optimizer(self.model, self.optimizer, state.get("optimizer", {}))
        write_scaler(self.scaler, state.get("scaler", {}))
        averaging = state.get("averaging", {})
        assert not isinstance(averaging, Tensor)
        self.averaging.load(averaging)
        self.epoch = epoch

    def _evaluation_features(self, split: str, chosen: Indices) -> Iterable[Tensor]:
        """Return the features of chosen images of a split, batch by batch; keep them if they are a few megabytes."""
        size = self.evaluation_batch
        if split in self._kept_features:
            return self._kept_features[split]
        batches = self.features.iterate_images(np.split(chosen, range(size, len(chosen), size)), self.beat)
        if not self.model.pooled_in_prefix or len(chosen) * self.features.row_bytes > _KEPT_BYTES:
            return batches
        self._kept_features[split] = list(batches)
        return self._kept_features[split]

    def _predict_batches(self, batches: Iterable[Tensor]) -> NDArray[np.float64]:
        """Compute class probabilities (N, C)."""
        probabilities = []
        with torch.no_grad():
            for features in batches:
                self.beat()
                probabilities += self.micro_batches.run(len(features), partial(self._predict, features))
        return torch.cat(probabilities).numpy()

    def _train_seeded(self) -> dict[str, float]:
        """Train an epoch with random numbers that depend on the seed and the epoch alone."""
        with seeded(self.device, int(_epoch_generator(self.seed, self.epoch, self.team.rank).integers(2**63))):
            return self._train()

    def _train(self) -> dict[str, float]:
        self.model.train()
        order = draw_epoch_order(
            self.data.splits["train"],
            self.data.labels,
            sampling=self.recipe.balance.sampling,
            generator=_epoch_generator(self.seed, self.epoch),
        )
        if self.recipe.batch_size == 0:
            loss, correct = self._full_batch(order)
        else:
            loss, correct = self._mini_batches(order)
        return {"loss": loss / len(order), "accuracy": correct / len(order)}

    def _mini_batches(self, order: Indices) -> tuple[float, float]:
        """Make a step for each batch; return the sum of losses and how many were right before each step."""
        total_loss, correct = 0.0, 0.0
        batches = cut_batches(order, self.recipe.batch_size)
        blends = self._blends(batches)
        views = self._views(batches, blends)
        for number, (rows, blend, (features, part)) in enumerate(zip(batches, blends, views, strict=True)):
            self._begin_step(number, len(batches))
            loss, right = self._gradients_of(rows, features, blend, part, share=1.0)
            self.team.sum_gradients(self._trained)
            loss, right = self._check_loss(loss, right)
            self._adjust_gradients()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self._end_step(number, len(batches))
            total_loss += loss * len(rows)
            correct += right
        return total_loss, correct

    def _full_batch(self, order: Indices) -> tuple[float, float]:
        """Make one step over all images, part by part; see `_mini_batches`.

        L-BFGS goes over them several times, with the same random numbers each time, so that it minimizes one function.
        """
        parts = cut_batches(order, self.recipe.images_at_once)
        blends = self._blends(parts)
        first: list[tuple[float, float]] = []
        numbers = get_random_state(self.device)

        def closure() -> float:
            set_random_state(self.device, numbers)
            self._clear_gradients()
            loss, correct = 0.0, 0.0
            views = self._views(parts, blends)
            for rows, blend, (features, part) in zip(parts, blends, views, strict=True):
                added, right = self._gradients_of(rows, features, blend, part, share=len(rows) / len(order))
                loss, correct = loss + added, correct + right
            self.team.sum_gradients(self._trained)
            loss, correct = self._check_loss(loss, correct)
            first.append((loss * len(order), correct))
            self._adjust_gradients()
            return loss if self.penalty is None else loss + float(self.penalty.value())

        self._begin_step(0, 1)
        if isinstance(self.optimizer, torch.optim.LBFGS):
            self.optimizer.step(closure)
        else:
            closure()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self._end_step(0, 1)
        return first[0]

    def _position(self, number: int, steps: int) -> SchedulePosition:
        return SchedulePosition(step=self.epoch * steps + number, steps_per_epoch=steps, epochs=self.epochs)

    def _begin_step(self, number: int, steps: int) -> None:
        rate = self.recipe.optimizer.lr * learning_rate_factor(self.recipe.schedule, self._position(number, steps))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._clear_gradients()

    def _clear_gradients(self) -> None:
        for parameter in self._trained:
            parameter.grad = None

    def _end_step(self, number: int, steps: int) -> None:
        ended = ends_cycle(self.recipe.schedule, self._position(number, steps))
        self.averaging.after_step(self.model, ends_cycle=ended)

    def _adjust_gradients(self) -> None:
        """Add the penalty's gradients and clip, before the optimizer's step."""
        if self.penalty is None and not self.recipe.clip.norm:
            return
        self.scaler.unscale_(self.optimizer)
        if self.penalty is not None:
            self.penalty.add_gradients()
        if self.recipe.clip.norm:
            nn.utils.clip_grad_norm_(self._trained, self.recipe.clip.norm)

    def _blends(self, batches: list[Indices]) -> list[Blend | None]:
        generator = np.random.default_rng([self.seed, self.epoch, _BLENDING])
        image_size = int(self.data.images.shape[1])
        return [draw_blend(self.recipe.mix, len(rows), image_size, generator) for rows in batches]

    def _views(self, batches: list[Indices], blends: list[Blend | None]) -> Iterator[tuple[Tensor, Part]]:
        """Iterate over the activations of this member's part of each batch.

        The images of a mixed batch are needed by every member, since each is mixed with any other.
        """
        parts = [self.team.part(len(rows)) for rows in batches]
        if any(blends):
            whole = self.features.iterate_views(batches, self.epoch, blends, self.beat)
            return ((features[part.rows], part) for features, part in zip(whole, parts, strict=True))
        mine = [rows[part.rows] for rows, part in zip(batches, parts, strict=True)]
        return zip(self.features.iterate_views(mine, self.epoch, blends, self.beat), parts, strict=True)

    def _gradients_of(
        self, rows: Indices, features: Tensor, blend: Blend | None, part: Part, *, share: float
    ) -> tuple[float, float]:
        """Add the gradients of this member's part of the images' mean loss, times `share`.

        Returns that part of the loss, and how many of its images were right.
        """
        self.beat()
        labels = torch.from_numpy(self.data.labels[rows]).to(self.device)
        work = partial(self._add_gradients, features, labels, blend, share * part.weight, part.rows.start)
        results = self.micro_batches.run(len(features), work)
        return sum(loss for loss, _ in results), part.weight * sum(right for _, right in results)

    def _check_loss(self, loss: float, correct: float) -> tuple[float, float]:
        """Return the sums over all members; raise DivergedError in each of them if the loss is not finite."""
        total, right = self.team.sum_numbers([loss, correct], self.device)
        if not math.isfinite(total):
            raise self._diverged(f"the loss is {total}")
        return total, right

    def _add_gradients(
        self, features: Tensor, labels: Tensor, blend: Blend | None, share: float, start: int, local: slice
    ) -> tuple[float, int]:
        """Add the gradients of some rows' part of the batch's mean loss, times `share`; see `_gradients_of`.

        features: of the batch's rows from `start` on; labels: of the whole batch. local: rows of `features`.
        """
        rows = slice(local.start + start, local.stop + start)
        with autocast(self.recipe.precision, self.device):
            with self._convolving(), self.team.synced_norms():
                logits = self._logits(features[local])
            loss_of = partial(
                mean_loss,
                logits.float(),
                weights=self._class_weights,
                label_smoothing=self.recipe.mix.label_smoothing,
            )
            mean = loss_of(labels[rows]) if blend is None else blend.mix_loss(loss_of, labels, rows)
            loss = mean * (len(logits) / len(labels) * share)
        value = loss.item()
        if self.team.size == 1 and not math.isfinite(value):
            raise self._diverged(f"the loss is {value}")
        torch.autograd.backward(self.scaler.scale(loss))
        return value, int((logits.argmax(dim=1) == labels[rows]).sum())

    def _predict(self, features: Tensor, rows: slice) -> Tensor:
        with autocast(self.recipe.precision, self.device):
            logits = self._logits(features[rows])
        return torch.softmax(logits.double(), dim=1).cpu()

    def _logits(self, features: Tensor) -> Tensor:
        """Compute logits from what `Features` returns, which is pixels if nothing is frozen."""
        logits: Tensor = self.model.suffix(features if self.recipe.freeze_depth else self.model.normalize(features))
        return logits

    def _diverged(self, reason: str) -> DivergedError:
        written = written_freeze_depth(
            self.recipe.freeze_depth, backbone=self.recipe.backbone, own_stages=len(self.model.stages)
        )
        flat = self.recipe.flat() | {"freeze_depth": written}
        settings = ", ".join(f"{name}={value}" for name, value in flat.items())
        epoch, recipe = self.epoch + 1, self.recipe.identity
        return DivergedError(f"training diverged in epoch {epoch}: {reason} (recipe {recipe}: {settings})")


def _epoch_generator(seed: int, epoch: int, rank: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, epoch, rank] if rank else [seed, epoch])
