"""The weights that are evaluated and kept: the last ones, an average of them, or several snapshots."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from trainables.classifiers import Classifier
from trainables.devices.tensors import NestedTensors
from trainables.training.state import read_model, write_model

__all__ = ["Averaging", "build_averaging", "using_weights"]

Weights = dict[str, Tensor]


class Averaging(abc.ABC):
    """Follows the weights of a model through training.

    Ownership: borrows the model; its own tensors are on the model's device. Thread safety: one thread.
    """

    @abc.abstractmethod
    def after_step(self, model: Classifier, *, ends_cycle: bool) -> None:
        """Take note of a step of the optimizer; ends_cycle: whether the schedule's cycle ends with it."""

    @abc.abstractmethod
    def members(self) -> Sequence[Weights | None]:
        """Return the weights whose predictions are averaged, by name; None stands for the model's own."""

    @abc.abstractmethod
    def state(self) -> NestedTensors:
        """Return copies of all tensors."""

    @abc.abstractmethod
    def load(self, state: NestedTensors) -> None:
        """Restore what `state` returned."""


class _Last(Averaging):
    def after_step(self, model: Classifier, *, ends_cycle: bool) -> None:
        pass

    def members(self) -> Sequence[Weights | None]:
        return (None,)

    def state(self) -> NestedTensors:
        return {}

    def load(self, state: NestedTensors) -> None:
        pass


class _Polyak(Averaging):
    """Exponential moving average with a decay of min(decay, (1 + t) / (10 + t)) at step t."""

    def __init__(self, decay: float) -> None:
        self._decay, self._steps = decay, 0
        self._average: Weights = {}

    def after_step(self, model: Classifier, *, ends_cycle: bool) -> None:
        del ends_cycle  # every step counts
        current = read_model(model)
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        for name, value in current.items():
            average = self._average.get(name)
            if average is None or not value.is_floating_point():
                self._average[name] = value
            else:
                average.lerp_(value, 1 - decay)

    def members(self) -> Sequence[Weights | None]:
        return (self._average or None,)

    def state(self) -> NestedTensors:
        return {
            "steps": torch.tensor(self._steps),
            "average": {name: value.clone() for name, value in self._average.items()},
        }

    def load(self, state: NestedTensors) -> None:
        steps, average = state.get("steps"), state.get("average", {})
        self._steps = int(steps) if isinstance(steps, Tensor) else 0
        self._average = _weights(average)


class _Snapshots(Averaging):
    """The weights at the end of each cycle; those of the last cycle are the model's own."""

    def __init__(self) -> None:
        self._snapshots: list[Weights] = []

    def after_step(self, model: Classifier, *, ends_cycle: bool) -> None:
        if ends_cycle:
            self._snapshots.append(read_model(model))

    def members(self) -> Sequence[Weights | None]:
        return (*self._snapshots, None)

    def state(self) -> NestedTensors:
        return {f"{number:03d}": dict(weights) for number, weights in enumerate(self._snapshots)}

    def load(self, state: NestedTensors) -> None:
        self._snapshots = [_weights(state[name]) for name in sorted(state)]


def build_averaging(record: Any) -> Averaging:
    """Build the averaging of a recipe's record."""
    if record.name == "polyak":
        return _Polyak(record.decay)
    return _Snapshots() if record.name == "snapshot" else _Last()


@contextmanager
def using_weights(model: Classifier, weights: Weights | None) -> Iterator[None]:
    """Give the model these weights while the context is entered, and its own afterwards."""
    if weights is None:
        yield
        return
    own = read_model(model)
    write_model(model, weights)
    try:
        yield
    finally:
        write_model(model, own)


def _weights(value: Tensor | NestedTensors) -> Weights:
    assert not isinstance(value, Tensor)
    return {name: tensor.clone() for name, tensor in value.items() if isinstance(tensor, Tensor)}
