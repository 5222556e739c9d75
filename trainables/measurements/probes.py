"""Timing of one model on one device, part by part."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from search_spaces.records import Adamw
from trainables.classifiers import Classifier
from trainables.devices.depthwise import depthwise_mode
from trainables.devices.peaks import peak_memory
from trainables.devices.precision import autocast
from trainables.training.balance import mean_loss
from trainables.training.optimizers import build_optimizer

__all__ = ["ForwardTimes", "Probe", "StepTimes"]

_MOST_REPEATS = 10
_FEWEST_IMAGES = 2
_STEP_IN_PASSES = 3
_ADAM_STATES = 2

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class ForwardTimes:
    """Seconds per image of scaling the pixels, of each stage and of the head; bytes per image of each part's input."""

    entry: float
    stages: tuple[float, ...]
    head: float
    boundaries: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """A training step behind one freeze depth.

    Attributes:
        image: seconds per image, forward and backward.
        update: seconds of the optimizer per step.
        peak: most bytes of memory.
        states: those of these bytes that gradients and the optimizer's averages take, whatever the batch.
    """

    image: float
    update: float
    peak: int
    states: int


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Measures medians of repeated passes. It waits for the device before it reads the clock."""

    model: Classifier
    device: torch.device
    precision: str

    def count_affordable(self, pixels: Tensor, seconds: float) -> int:
        """Return how many of `pixels`, uint8 (B, 3, H, W), a training step can process within `seconds`.

        Large batches measure better: fixed costs of a pass, such as laying out weights, weigh less.
        """
        self.model.eval()
        images = _FEWEST_IMAGES
        with torch.no_grad(), self._autocast():
            self.model(pixels[:images])
            while images < len(pixels):
                duration, _ = self._timed(_call(self.model, pixels[:images]))
                if 2 * duration * _STEP_IN_PASSES > seconds:
                    break
                images *= 2
        return min(images, len(pixels))

    def time_forward(self, pixels: Tensor, seconds: float) -> ForwardTimes:
        """Time every part of an evaluation, for about `seconds`."""
        self.model.freeze(0)
        self.model.eval()
        pooled = nn.Sequential(self.model.pool, self.model.head)
        parts: list[Callable[[Tensor], Tensor]] = [self.model.prefix, *self.model.stages, pooled]
        rounds: list[list[float]] = []
        boundaries: list[int] = []
        deadline = time.perf_counter() + seconds
        with torch.no_grad(), self._autocast():
            while not rounds or (time.perf_counter() < deadline and len(rounds) < _MOST_REPEATS):
                features, times, boundaries = pixels, [], []
                for part in parts:
                    duration, features = self._timed(_call(part, features))
                    times.append(duration / len(pixels))
                    boundaries.append(features.numel() * features.element_size() // len(pixels))
                rounds.append(times)
        entry, *stages, head = (statistics.median(times) for times in zip(*rounds, strict=True))
        return ForwardTimes(entry=entry, stages=tuple(stages), head=head, boundaries=tuple(boundaries[:-1]))

    def time_training(self, pixels: Tensor, depth: int, seconds: float) -> StepTimes:
        """Time AdamW's steps behind `depth` frozen stages, for about `seconds`, with the prefix's activations given."""
        self.model.freeze(depth)
        self.model.train()
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        optimizer = build_optimizer(Adamw(), trained)
        labels = torch.zeros(len(pixels), dtype=torch.int64, device=self.device)
        convolving = depthwise_mode(self.model)

        def frozen() -> Tensor:
            with torch.no_grad(), self._autocast():
                return self.model.prefix(pixels)

        def gradients() -> None:
            with self._autocast(), convolving():
                loss = mean_loss(self.model.suffix(entering).float(), labels, None, label_smoothing=0.0)
            loss.item()
            torch.autograd.backward(loss)

        def update() -> None:
            optimizer.step()
            optimizer.zero_grad()

        with peak_memory(self.device) as peak:
            entering = frozen()
            gradients()
            update()
        times: list[tuple[float, float]] = []
        deadline = time.perf_counter() + seconds
        while not times or (time.perf_counter() < deadline and len(times) < _MOST_REPEATS):
            times.append((self._timed(gradients)[0], self._timed(update)[0]))
        passes, updates = (statistics.median(column) for column in zip(*times, strict=True))
        states = sum(weight.numel() * weight.element_size() for weight in trained) * (1 + _ADAM_STATES)
        return StepTimes(image=passes / len(pixels), update=updates, peak=peak.bytes, states=states)

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self.precision, self.device)

    def _timed(self, work: Callable[[], Result]) -> tuple[float, Result]:
        self._wait()
        started = time.perf_counter()
        result = work()
        self._wait()
        return time.perf_counter() - started, result

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _call(part: Callable[[Tensor], Tensor], features: Tensor) -> Callable[[], Tensor]:
    return lambda: part(features)
