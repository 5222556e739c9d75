"""One model on one device, timed part by part."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from search_spaces.records import Adamw
from trainables.backbones import Classifier
from trainables.balance import mean_loss
from trainables.optimizers import build_optimizer
from trainables.peaks import peak_memory
from trainables.precision import autocast

__all__ = ["ForwardTimes", "Probe"]

_MOST_REPEATS = 10
_FEWEST_IMAGES = 2

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class ForwardTimes:
    """Seconds an image of scaling pixels, of each stage, and of the head; bytes an image of what enters each."""

    entry: float
    stages: tuple[float, ...]
    head: float
    boundaries: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Medians of repeated passes; the device is waited for before each reading of the clock."""

    model: Classifier
    device: torch.device
    precision: str

    def affordable(self, pixels: Tensor, seconds: float) -> int:
        """How many of `pixels`, uint8 (B, 3, H, W), one pass may take for two passes to fit `seconds`."""
        few = pixels[:_FEWEST_IMAGES]
        self.model.eval()
        with torch.no_grad(), self._autocast():
            self.model(few)
            taken, _ = self._timed(lambda: self.model(few))
        return max(_FEWEST_IMAGES, min(len(pixels), int(seconds / 2 * len(few) / taken)))

    def forward(self, pixels: Tensor, seconds: float) -> ForwardTimes:
        """Time every part of an evaluation, for about `seconds`."""
        self.model.freeze(0)
        self.model.eval()
        parts: list[Callable[[Tensor], Tensor]] = [self.model.prefix, *self.model.stages, self.model.head]
        rounds: list[list[float]] = []
        boundaries: list[int] = []
        deadline = time.perf_counter() + seconds
        with torch.no_grad(), self._autocast():
            while not rounds or (time.perf_counter() < deadline and len(rounds) < _MOST_REPEATS):
                features, times, boundaries = pixels, [], []
                for part in parts:
                    taken, features = self._timed(_call(part, features))
                    times.append(taken / len(pixels))
                    boundaries.append(features.numel() * features.element_size() // len(pixels))
                rounds.append(times)
        entry, *stages, head = (statistics.median(times) for times in zip(*rounds, strict=True))
        return ForwardTimes(entry=entry, stages=tuple(stages), head=head, boundaries=tuple(boundaries[:-1]))

    def training(self, pixels: Tensor, depth: int, seconds: float) -> tuple[float, int]:
        """Seconds an image of a step behind `depth` frozen stages, and the bytes held at the height of one."""
        self.model.freeze(depth)
        self.model.train()
        optimizer = build_optimizer(Adamw(), [one for one in self.model.parameters() if one.requires_grad])
        labels = torch.zeros(len(pixels), dtype=torch.int64, device=self.device)

        def frozen() -> Tensor:
            with torch.no_grad(), self._autocast():
                return self.model.prefix(pixels)

        def step() -> None:
            optimizer.zero_grad()
            with self._autocast():
                loss = mean_loss(self.model.suffix(entering).float(), labels, None, label_smoothing=0.0)
            torch.autograd.backward(loss)
            optimizer.step()
            loss.item()

        with peak_memory(self.device) as peak:
            entering = frozen()
            step()
        times: list[float] = []
        deadline = time.perf_counter() + seconds
        while not times or (time.perf_counter() < deadline and len(times) < _MOST_REPEATS):
            times.append(self._timed(step)[0])
        self.model.zero_grad(set_to_none=True)
        return statistics.median(times) / len(pixels), peak.bytes

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
