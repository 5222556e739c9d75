"""One trial's training, an epoch at a time, the same on every run of the same recipe, seed and data."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_spaces.recipe import Recipe
from trainables.backbones import Classifier, build_classifier
from trainables.balance import class_weights, epoch_order, mean_loss
from trainables.checkpoints import NestedTensors
from trainables.devices import resolve_device
from trainables.errors import CheckpointError, DataError, DivergedError
from trainables.evaluation import Evaluation, score
from trainables.features import Features
from trainables.micro_batches import MicroBatches
from trainables.optimizers import build_optimizer
from trainables.precision import autocast, build_scaler, check_precision, read_scaler, write_scaler
from trainables.prepared import PreparedData
from trainables.sharing import SharingPlan
from trainables.training_state import read_model, read_optimizer, write_model, write_optimizer

__all__ = ["EpochResult", "Trainer", "trained_model"]

_EVALUATION_BATCH = 32

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
    epochs, sharing: how many epochs are expected, and what the node's cache of activations is told, see Features;
    neither changes a result.

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
        sharing: SharingPlan | None = None,
    ) -> None:
        self.data = data
        self.recipe = recipe
        self.seed = seed
        self.device = resolve_device(device)
        check_precision(recipe.precision, self.device)
        self.epoch = 0
        model = _untrained(data, recipe, seed)
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # takes both
        self._trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = build_optimizer(recipe.optimizer, self._trained)
        weights = class_weights(data.labels[data.splits["train"]], len(data.classes), recipe.balance.class_weights)
        self._class_weights = None if weights is None else torch.from_numpy(weights).float().to(self.device)
        self.scaler = build_scaler(recipe.precision, self.device)
        self.micro_batches = MicroBatches(self.model, self.device, micro_batch)
        self.beat: Callable[[], None] = lambda: None
        self.features = Features(data, recipe, seed=seed, device=self.device, epochs=epochs, sharing=sharing)

    def run_epoch(self) -> EpochResult:
        """Train on each image of the train split once, then evaluate on val. Raises DivergedError."""
        started = time.perf_counter()
        with self._own_random_numbers():
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
        self.features.prepare_split(chosen, self.beat)
        batches = np.split(chosen, range(_EVALUATION_BATCH, len(chosen), _EVALUATION_BATCH))
        probabilities = []
        with torch.no_grad():
            for features in self.features.of_images(batches):
                self.beat()
                probabilities += self.micro_batches.run(len(features), partial(self._predict, features))
        gathered = torch.cat(probabilities).numpy()
        if not np.isfinite(gathered).all():
            raise self._diverged(f"predictions on {split} are not finite")
        return score(gathered, self.data.labels[chosen])

    def state_dict(self) -> NestedTensors:
        """Copies of all that training changes, and the finished epochs.

        Frozen stages are left out, since the recipe brings them back.
        """
        return {
            "epoch": torch.tensor(self.epoch),
            "training": _fingerprint(self.data, self.recipe, self.seed),
            "model": read_model(self.model),
            "optimizer": read_optimizer(self.model, self.optimizer),
            "scaler": read_scaler(self.scaler),
        }

    def load_state_dict(self, state: NestedTensors) -> None:
        """Go on from `state`. Raises CheckpointError if it is of another recipe, seed or data set."""
        epoch = _epoch_of(state, self.data, self.recipe, self.seed)
        write_model(self.model, state.get("model", {}))
        write_optimizer(self.model, self.optimizer, state.get("optimizer", {}))
        write_scaler(self.scaler, state.get("scaler", {}))
        self.epoch = epoch

    def _train(self) -> dict[str, float]:
        self.model.train()
        total_loss, correct = 0.0, 0
        order = epoch_order(
            self.data.splits["train"],
            self.data.labels,
            sampling=self.recipe.balance.sampling,
            generator=_epoch_generator(self.seed, self.epoch),
        )
        self.features.prepare_epoch(self.data.splits["train"], self.epoch, self.beat)
        batches = _batches(order, self.recipe.batch_size)
        for batch, features in zip(batches, self.features.of_views(batches, self.epoch), strict=True):
            self.beat()
            labels = torch.from_numpy(self.data.labels[batch]).to(self.device)
            for parameter in self._trained:
                parameter.grad = None
            shares = self.micro_batches.run(len(batch), partial(self._add_gradients, features, labels))
            self.scaler.step(self.optimizer)
            self.scaler.update()
            total_loss += sum(loss for loss, _ in shares) * len(batch)
            correct += sum(right for _, right in shares)
        return {"loss": total_loss / len(order), "accuracy": correct / len(order)}

    def _add_gradients(self, features: Tensor, labels: Tensor, rows: slice) -> tuple[float, int]:
        """Gradients of these rows' part of the batch's mean loss; that part, and how many were right."""
        with autocast(self.recipe.precision, self.device):
            logits = self._logits(features[rows])
            smoothing = self.recipe.mix.label_smoothing
            mean = mean_loss(logits.float(), labels[rows], self._class_weights, label_smoothing=smoothing)
            loss = mean * (len(logits) / len(labels))
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
        logits: Tensor = self.model.suffix(features if self.recipe.freeze_depth else self.model.normalised(features))
        return logits

    @contextmanager
    def _own_random_numbers(self) -> Iterator[None]:
        """What torch draws inside depends on (seed, epoch) alone, and the caller's generators do not move."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(_epoch_generator(self.seed, self.epoch).integers(2**63)))
            yield

    def _diverged(self, reason: str) -> DivergedError:
        settings = ", ".join(f"{name}={value}" for name, value in self.recipe.flat().items())
        epoch, recipe = self.epoch + 1, self.recipe.identity
        return DivergedError(f"training diverged in epoch {epoch}: {reason} (recipe {recipe}: {settings})")


def trained_model(data: PreparedData, recipe: Recipe, *, seed: int, state: NestedTensors) -> Classifier:
    """The model of a training's `state`, on the CPU, without what a `Trainer` makes to train it.

    Raises CheckpointError if the state is of another recipe, seed or data set.
    """
    model = _untrained(data, recipe, seed)
    _epoch_of(state, data, recipe, seed)
    write_model(model, state.get("model", {}))
    return model


def _untrained(data: PreparedData, recipe: Recipe, seed: int) -> Classifier:
    return build_classifier(
        recipe.backbone,
        classes=len(data.classes),
        weights=recipe.weights,
        dropout=recipe.dropout.rate,
        image_size=int(data.images.shape[1]),
        freeze_depth=recipe.freeze_depth,
        seed=seed,
    )


def _epoch_of(state: NestedTensors, data: PreparedData, recipe: Recipe, seed: int) -> int:
    """The finished epochs of a state. Raises CheckpointError if it is of another training."""
    epoch, training = state.get("epoch"), state.get("training")
    if not isinstance(epoch, Tensor) or not isinstance(training, Tensor):
        raise CheckpointError("checkpoint must hold a training's state")
    if not torch.equal(training, _fingerprint(data, recipe, seed)):
        ours = f"recipe {recipe.identity}, seed {seed} and data {data.digest}"
        raise CheckpointError(f"checkpoint must be of {ours}, and is of another training")
    return int(epoch)


def _fingerprint(data: PreparedData, recipe: Recipe, seed: int) -> Tensor:
    """SHA-256 of what makes this training differ from others, as 32 bytes."""
    identity = json.dumps([recipe.identity, seed, data.digest])
    return torch.tensor(list(hashlib.sha256(identity.encode()).digest()), dtype=torch.uint8)


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
