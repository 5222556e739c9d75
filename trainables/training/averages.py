"""Whose weights are evaluated and kept: those that training left, their average, or several of them."""

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

    Ownership: borrows the model; its own tensors are on the model's device. Not for several threads.
    """

    @abc.abstractmethod
    def after_step(self, model: Classifier, *, ends_cycle: bool) -> None:
        """The optimizer has made a step."""

    @abc.abstractmethod
    def kept(self) -> Sequence[Weights | None]:
        """The weights whose mean prediction counts, by name; None are the model's own."""

    @abc.abstractmethod
    def state(self) -> NestedTensors:
        """Copies of all it holds."""

    @abc.abstractmethod
    def load(self, state: NestedTensors) -> None:
        """The reverse of `state`."""


class _Last(Averaging):
    def after_step(self, model: Classifier, *, ends_cycle: bool) -> None:
        pass

    def kept(self) -> Sequence[Weights | None]:
        return (None,)

    def state(self) -> NestedTensors:
        return {}

    def load(self, state: NestedTensors) -> None:
        pass


class _Polyak(Averaging):
    """An exponential moving average with a decay of min(decay, (1 + t) / (10 + t)) at step t."""

    def __init__(self, decay: float) -> None:
        self._decay, self._steps = decay, 0
        self._average: Weights = {}

    def after_step(self, model: Classifier, *, ends_cycle: bool) -> None:
        now = read_model(model)
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        for name, value in now.items():
            average = self._average.get(name)
            if average is None or not value.is_floating_point():
                self._average[name] = value
            else:
                average.lerp_(value, 1 - decay)

    def kept(self) -> Sequence[Weights | None]:
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
    """The weights at the end of each cycle; of the last one they are the model's own."""

    def __init__(self) -> None:
        self._taken: list[Weights] = []

    def after_step(self, model: Classifier, *, ends_cycle: bool) -> None:
        if ends_cycle:
            self._taken.append(read_model(model))

    def kept(self) -> Sequence[Weights | None]:
        return (*self._taken, None)

    def state(self) -> NestedTensors:
        return {f"{number:03d}": dict(weights) for number, weights in enumerate(self._taken)}

    def load(self, state: NestedTensors) -> None:
        self._taken = [_weights(state[name]) for name in sorted(state)]


def build_averaging(record: Any) -> Averaging:
    """What an averaging record asks for."""
    if record.name == "polyak":
        return _Polyak(record.decay)
    return _Snapshots() if record.name == "snapshot" else _Last()


@contextmanager
def using_weights(model: Classifier, weights: Weights | None) -> Iterator[None]:
    """The model has these weights inside, and its own again behind."""
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
