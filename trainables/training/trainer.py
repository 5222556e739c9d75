"""One trial's training, an epoch at a time, the same on every run of the same recipe, seed and data."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
from trainables.training.balance import compute_class_weights, draw_epoch_order, mean_loss
from trainables.training.evaluation import Evaluation, score
from trainables.training.micro_batches import MicroBatches
from trainables.training.optimizers import build_optimizer
from trainables.training.penalties import build_penalty
from trainables.training.schedules import SchedulePosition, depends_on_length, ends_cycle, learning_rate_factor
from trainables.training.state import read_model, read_optimizer, trained_parameters, write_model, write_optimizer
from trainables.training.trained_models import (
    build_untrained_model,
    fingerprint,
    read_finished_epochs,
    read_planned_epochs,
)

__all__ = ["EpochResult", "Trainer"]

_EVALUATION_BATCH = 32
_HEAD_EVALUATION_BATCH = 128
"""Where a head on pooled features is all that is evaluated, which takes no memory to speak of."""

_KEPT_BYTES = 16 * 1024 * 1024
"""Most that a trial keeps of the features on which its head is evaluated after every epoch."""

_BLENDING = 1
"""Tells the random numbers of mixed batches from those of their order."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochResult:
    """A finished epoch: number from 1, wall time, loss and accuracy as seen while training, and val."""

    epoch: int
    seconds: float
    train: dict[str, float]
    val: Evaluation


class Trainer:
    """Trains one recipe on prepared data.

    Batch order and dropout are drawn from (seed, epoch), views from (seed, policy, image, epoch), never from
    torch's global generator. So on a CPU, with the same number of threads, a training that goes on from its
    saved state gives the same bits as one that was never interrupted.

    micro_batch: at most so many images at once (gradients add up over a batch); halves by itself where the
    device's memory runs out, see MicroBatches.
    beat: called at every batch, to show that this goes on; whoever trains may replace it.
    epochs: of the whole training, to whose end some schedules go; where the schedule is another, it and `sharing` only
    tell the node's cache of activations what to expect, see Features, and change no result.

    Raises DeviceError for a device that is not there or a precision that it lacks, WeightsError for weights that
    do not fit, MeltpointError for a backbone that does not take images of this size.
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
    ) -> None:
        self.data = data
        self.recipe = recipe
        self.seed = seed
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
        self.micro_batches = MicroBatches(self.model, self._trained, self.device, micro_batch)
        self.beat: Callable[[], None] = lambda: None
        self._kept_features: dict[str, list[Tensor]] = {}
        self.features = Features(data, recipe, seed=seed, device=self.device, epochs=epochs, sharing=sharing)

    @property
    def evaluation_batch(self) -> int:
        """How many images are evaluated at once."""
        return _HEAD_EVALUATION_BATCH if self.model.pooled_in_prefix else _EVALUATION_BATCH

    def run_epoch(self) -> EpochResult:
        """Train on each image of the train split once, then evaluate on val. Raises DivergedError."""
        started = time.perf_counter()
        with seeded(self.device, int(_epoch_generator(self.seed, self.epoch).integers(2**63))):
            train = self._train()
        val = self.evaluate("val")
        self.epoch += 1
        seconds = time.perf_counter() - started
        return EpochResult(epoch=self.epoch, seconds=seconds, train=train, val=val)

    def evaluate(self, split: str) -> Evaluation:
        """Score the model on a split. Raises DataError if that is empty, DivergedError if it gives NaN."""
        chosen = self.data.splits[split]
        if len(chosen) == 0:
            raise DataError(f"split {split} of {self.data.name} must hold images (0)")
        self.model.eval()
        kept = self.averaging.kept()
        predictions = []
        for weights in kept:
            with using_weights(self.model, weights):
                predictions.append(self._predictions(self._seen(split)))
        gathered = predictions[0] if len(kept) == 1 else np.mean(predictions, axis=0)
        if not np.isfinite(gathered).all():
            raise self._diverged(f"predictions on {split} are not finite")
        return score(gathered, self.data.labels[chosen])

    def state_dict(self) -> NestedTensors:
        """Copies of all that training changes, and the finished epochs.

        Frozen stages are left out, since the recipe brings them back.
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
        """Go on from `state`. Raises CheckpointError if it is of another recipe, seed, data set or schedule."""
        epoch = read_finished_epochs(state, self.data, self.recipe, self.seed)
        if depends_on_length(self.recipe.schedule) and read_planned_epochs(state) != self.epochs:
            raise CheckpointError(f"checkpoint must be of a training of {self.epochs} epochs, to which its rate goes")
        write_model(self.model, state.get("model", {}))
        write_optimizer(self.model, self.optimizer, state.get("optimizer", {}))
        write_scaler(self.scaler, state.get("scaler", {}))
        averaging = state.get("averaging", {})
        assert not isinstance(averaging, Tensor)
        self.averaging.load(averaging)
        self.epoch = epoch

    def _seen(self, split: str) -> Iterable[Tensor]:
        """What is trained sees of a split's images as they are, batch by batch; kept where it is a few megabytes."""
        chosen, size = self.data.splits[split], self.evaluation_batch
        if split in self._kept_features:
            return self._kept_features[split]
        found = self.features.iterate_images(np.split(chosen, range(size, len(chosen), size)), self.beat)
        if not self.model.pooled_in_prefix or len(chosen) * self.features.row_bytes > _KEPT_BYTES:
            return found
        self._kept_features[split] = list(found)
        return self._kept_features[split]

    def _predictions(self, seen: Iterable[Tensor]) -> NDArray[np.float64]:
        """Class probabilities (N, C)."""
        probabilities = []
        with torch.no_grad():
            for features in seen:
                self.beat()
                probabilities += self.micro_batches.run(len(features), partial(self._predict, features))
        return torch.cat(probabilities).numpy()

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

    def _mini_batches(self, order: Indices) -> tuple[float, int]:
        """A step for each batch; the sum of losses and how many were right, each before its step."""
        total_loss, correct = 0.0, 0
        batches = _batches(order, self.recipe.batch_size)
        blends = self._blends(batches)
        views = self.features.iterate_views(batches, self.epoch, blends, self.beat)
        for number, (rows, blend, features) in enumerate(zip(batches, blends, views, strict=True)):
            self._begin_step(number, len(batches))
            loss, right = self._gradients_of(rows, features, blend, share=1.0)
            self._scaled_gradients()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self._end_step(number, len(batches))
            total_loss += loss * len(rows)
            correct += right
        return total_loss, correct

    def _full_batch(self, order: Indices) -> tuple[float, int]:
        """One step over all images, whose gradients add up part by part; as `_mini_batches`.

        L-BFGS goes over them several times, each time with the same random numbers: what it searches is one function.
        """
        parts = _batches(order, self.recipe.images_at_once)
        blends = self._blends(parts)
        first: list[tuple[float, int]] = []
        numbers = get_random_state(self.device)

        def passed() -> float:
            set_random_state(self.device, numbers)
            self._clear_gradients()
            loss, correct = 0.0, 0
            views = self.features.iterate_views(parts, self.epoch, blends, self.beat)
            for rows, blend, features in zip(parts, blends, views, strict=True):
                part, right = self._gradients_of(rows, features, blend, share=len(rows) / len(order))
                loss, correct = loss + part, correct + right
            first.append((loss * len(order), correct))
            self._scaled_gradients()
            return loss if self.penalty is None else loss + float(self.penalty.value())

        self._begin_step(0, 1)
        if isinstance(self.optimizer, torch.optim.LBFGS):
            self.optimizer.step(passed)
        else:
            passed()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self._end_step(0, 1)
        return first[0]

    def _course(self, number: int, steps: int) -> SchedulePosition:
        return SchedulePosition(step=self.epoch * steps + number, steps_an_epoch=steps, epochs=self.epochs)

    def _begin_step(self, number: int, steps: int) -> None:
        rate = self.recipe.optimizer.lr * learning_rate_factor(self.recipe.schedule, self._course(number, steps))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._clear_gradients()

    def _clear_gradients(self) -> None:
        for parameter in self._trained:
            parameter.grad = None

    def _end_step(self, number: int, steps: int) -> None:
        ended = ends_cycle(self.recipe.schedule, self._course(number, steps))
        self.averaging.after_step(self.model, ends_cycle=ended)

    def _scaled_gradients(self) -> None:
        """What is done to the gradients of a whole step before the optimizer sees them."""
        if self.penalty is None and not self.recipe.clip.norm:
            return
        self.scaler.unscale_(self.optimizer)
        if self.penalty is not None:
            self.penalty.add_gradients()
        if self.recipe.clip.norm:
            nn.utils.clip_grad_norm_(self._trained, self.recipe.clip.norm)

    def _blends(self, batches: list[Indices]) -> list[Blend | None]:
        generator = np.random.default_rng([self.seed, self.epoch, _BLENDING])
        side = int(self.data.images.shape[1])
        return [draw_blend(self.recipe.mix, len(rows), side, generator) for rows in batches]

    def _gradients_of(self, rows: Indices, features: Tensor, blend: Blend | None, *, share: float) -> tuple[float, int]:
        """Add the gradients of these images' mean loss times `share`; that loss, and how many were right."""
        self.beat()
        labels = torch.from_numpy(self.data.labels[rows]).to(self.device)
        work = partial(self._add_gradients, features, labels, blend, share)
        shares = self.micro_batches.run(len(rows), work)
        return sum(loss for loss, _ in shares), sum(right for _, right in shares)

    def _add_gradients(
        self, features: Tensor, labels: Tensor, blend: Blend | None, share: float, rows: slice
    ) -> tuple[float, int]:
        """Gradients of these rows' part of the batch's mean loss, times `share`; that part, and how many were right."""
        with autocast(self.recipe.precision, self.device):
            with self._convolving():
                logits = self._logits(features[rows])
            mean_of = partial(
                mean_loss,
                logits.float(),
                weights=self._class_weights,
                label_smoothing=self.recipe.mix.label_smoothing,
            )
            mean = mean_of(labels[rows]) if blend is None else blend.mix_loss(mean_of, labels, rows)
            loss = mean * (len(logits) / len(labels) * share)
        value = loss.item()
        if not math.isfinite(value):
            raise self._diverged(f"the loss is {value}")
        torch.autograd.backward(self.scaler.scale(loss))
        return value, int((logits.argmax(dim=1) == labels[rows]).sum())

    def _predict(self, features: Tensor, rows: slice) -> Tensor:
        with autocast(self.recipe.precision, self.device):
            logits = self._logits(features[rows])
        return torch.softmax(logits.double(), dim=1).cpu()

    def _logits(self, features: Tensor) -> Tensor:
        """Of what `Features` gives, which is pixels where nothing is frozen."""
        logits: Tensor = self.model.suffix(features if self.recipe.freeze_depth else self.model.normalize(features))
        return logits

    def _diverged(self, reason: str) -> DivergedError:
        settings = ", ".join(f"{name}={value}" for name, value in self.recipe.flat().items())
        epoch, recipe = self.epoch + 1, self.recipe.identity
        return DivergedError(f"training diverged in epoch {epoch}: {reason} (recipe {recipe}: {settings})")


def _epoch_generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng([seed, epoch])


def _batches(order: Indices, size: int) -> list[Indices]:
    """`order` in batches of `size`; one left-over image joins the batch before it.

    BatchNorm cannot train on a single image whose feature map is a single pixel.
    """
    cuts = list(range(size, len(order), size))
    if size > 1 and cuts and len(order) - cuts[-1] == 1:
        cuts.pop()
    return np.split(order, cuts)
