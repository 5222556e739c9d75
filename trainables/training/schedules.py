"""The learning rate at every step, as a factor of the recipe's: a pure function of the step's number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from search_spaces.records import Record

__all__ = ["SCHEDULES", "SchedulePosition", "depends_on_length", "ends_cycle", "learning_rate_factor"]


@dataclass(frozen=True, kw_only=True)
class SchedulePosition:
    """The position of a step: its number from 0, steps per epoch, epochs of the whole training."""

    step: int
    steps_per_epoch: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class _After:
    """Progress since the warm-up: epochs, and the share of all steps after the warm-up, 0 to 1."""

    epochs: float
    share: float


def _constant(_record: Any, _after: _After) -> float:
    return 1.0


def _step(record: Any, after: _After) -> float:
    return float(record.gamma ** math.floor(after.epochs / record.every))


def _exponential(record: Any, after: _After) -> float:
    return float(record.gamma**after.epochs)


def _inverse_time(record: Any, after: _After) -> float:
    return float(1 / (1 + record.decay * after.epochs))


def _linear(record: Any, after: _After) -> float:
    return float(1 - (1 - record.final) * after.share)


def _cosine(record: Any, after: _After) -> float:
    return float(record.final + (1 - record.final) * (1 + math.cos(math.pi * after.share)) / 2)


def _cosine_restarts(record: Any, after: _After) -> float:
    within = (after.share * record.cycles) % 1.0
    return _cosine(record, _After(epochs=after.epochs, share=within))


SCHEDULES: dict[str, Callable[[Any, _After], float]] = {
    "constant": _constant,
    "step": _step,
    "exponential": _exponential,
    "1/t": _inverse_time,
    "linear": _linear,
    "cosine": _cosine,
    "cosine_restarts": _cosine_restarts,
}
"""Schedules that begin after the warm-up. `inverse_sqrt` is apart: it counts from the first step."""

_LENGTH_DEPENDENT = ("linear", "cosine", "cosine_restarts")


def depends_on_length(record: Record) -> bool:
    """Return whether the rate depends on the number of epochs of the whole training."""
    return record.model_dump()["name"] in _LENGTH_DEPENDENT


def learning_rate_factor(record: Any, position: SchedulePosition) -> float:
    """Return the factor of the recipe's learning rate at this step.

    The warm-up rises in a straight line to 1 (Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 2.2). The
    records in search_spaces.records.schedules describe each schedule.
    """
    warm_up = record.warmup_epochs * position.steps_per_epoch
    if record.name == "inverse_sqrt":
        number, begins = position.step + 1, max(1, warm_up)
        return float(number / begins) if number < begins else math.sqrt(begins / number)
    if position.step < warm_up:
        return float((position.step + 1) / warm_up)
    elapsed = position.step - warm_up
    left = max(1, position.epochs * position.steps_per_epoch - warm_up)
    after = _After(epochs=elapsed / position.steps_per_epoch, share=min(1.0, elapsed / left))
    return SCHEDULES[record.name](record, after)


def ends_cycle(record: Any, position: SchedulePosition) -> bool:
    """Return whether this step ends a cycle of `cosine_restarts`; the training's last step does not count."""
    if record.name != "cosine_restarts":
        return False
    warm_up = record.warmup_epochs * position.steps_per_epoch
    left = position.epochs * position.steps_per_epoch - warm_up
    elapsed = position.step - warm_up
    if elapsed < 0 or elapsed + 1 >= left:
        return False
    cycles: int = record.cycles
    return bool(elapsed * cycles // left != (elapsed + 1) * cycles // left)
