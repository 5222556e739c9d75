"""The cost of a model in use: its number of parameters, and the time of one image."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Final

import torch
from torch.export import Dim

from search_spaces.backbones import Interpolation
from search_spaces.records import Head
from trainables.classifiers import build_classifier, export_module
from trainables.devices.threads import one_thread

__all__ = ["MeasuredModel", "measure_model"]

WARM_UPS: Final = 5
FEWEST_REPEATS: Final = 15
MOST_REPEATS: Final = 101
SECONDS: Final = 1.0
"""Time after which a model is not run again, once it was run `FEWEST_REPEATS` times."""


@dataclass(frozen=True, kw_only=True)
class MeasuredModel:
    """A model's size and speed.

    body_parameters: weights and biases without the head. features: length of the vector that the head receives.
    latency_ms: median time of one image, in milliseconds; None if it was not measured. repeats: number of timed runs.
    """

    body_parameters: int
    features: int
    latency_ms: float | None
    repeats: int


def measure_model(
    backbone: str, head: Head, *, classes: int, image_size: int, interpolation: Interpolation, with_latency: bool
) -> MeasuredModel:
    """Build a classifier with random weights and measure it as it is registered: exported, on the CPU, fp32.

    The time is that of one uint8 image (1, size, size, 3) to its probabilities on one thread; a median is not moved by
    the few runs that other work on the machine slows down.

    Raises:
        MeltpointError: the backbone does not support the image size or the pool.
        OwnCodeError: the user's own backbone cannot be used.
    """
    model = build_classifier(backbone, classes=classes, weights="random", head=head, image_size=image_size, seed=0)
    every = sum(parameter.numel() for parameter in model.parameters())
    body = every - sum(parameter.numel() for parameter in model.head.parameters())
    first = next(layer for layer in model.head.modules() if isinstance(layer, torch.nn.Linear))
    if not with_latency:
        return MeasuredModel(body_parameters=body, features=first.in_features, latency_ms=None, repeats=0)
    with one_thread(), torch.no_grad():
        program = torch.export.export(
            export_module(model, image_size, interpolation),
            (torch.zeros(2, image_size, image_size, 3, dtype=torch.uint8),),
            dynamic_shapes=({0: Dim.AUTO, 1: Dim.AUTO, 2: Dim.AUTO},),
        )
        seconds = _time(program.module(), torch.full((1, image_size, image_size, 3), 127, dtype=torch.uint8))
    return MeasuredModel(
        body_parameters=body,
        features=first.in_features,
        latency_ms=1000 * statistics.median(seconds),
        repeats=len(seconds),
    )


def _time(module: torch.nn.Module, image: torch.Tensor) -> list[float]:
    """Return the seconds of each timed run."""
    for _ in range(WARM_UPS):
        module(image)
    seconds: list[float] = []
    started = time.perf_counter()
    while len(seconds) < MOST_REPEATS:
        before = time.perf_counter()
        module(image)
        after = time.perf_counter()
        seconds.append(after - before)
        if len(seconds) >= FEWEST_REPEATS and after - started > SECONDS:
            break
    return seconds
