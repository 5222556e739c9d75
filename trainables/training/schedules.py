"""The learning rate at every step, as a share of the recipe's: a pure function of the step's number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from search_spaces.records import Record

__all__ = ["SCHEDULES", "SchedulePosition", "depends_on_length", "ends_cycle", "learning_rate_factor"]


@dataclass(frozen=True, kw_only=True)
class SchedulePosition:
    """Where a step stands: number from 0, steps an epoch, epochs of the whole training."""

    step: int
    steps_an_epoch: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class _After:
    """What has passed since the warm-up: epochs, and the share of all that comes after it, 0 to 1."""

    epochs: float
    share: float


def _constant(record: Any, after: _After) -> float:
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
"""Those that begin after the warm-up; `inverse_sqrt` counts from the first step."""

_TO_THE_END = ("linear", "cosine", "cosine_restarts")


def depends_on_length(record: Record) -> bool:
    """Whether the rate depends on how many epochs there will be."""
    return record.model_dump()["name"] in _TO_THE_END


def learning_rate_factor(record: Any, course: SchedulePosition) -> float:
    """What the recipe's learning rate is multiplied by at this step.

    The warm-up rises in a straight line and ends at 1 (Goyal et al. 2017, https://arxiv.org/abs/1706.02677,
    section 2.2); what each schedule does is said in its record, in search_spaces.records.schedules.
    """
    warm_up = record.warmup_epochs * course.steps_an_epoch
    if record.name == "inverse_sqrt":
        number, begins = course.step + 1, max(1, warm_up)
        return float(number / begins) if number < begins else math.sqrt(begins / number)
    if course.step < warm_up:
        return float((course.step + 1) / warm_up)
    passed = course.step - warm_up
    left = max(1, course.epochs * course.steps_an_epoch - warm_up)
    after = _After(epochs=passed / course.steps_an_epoch, share=min(1.0, passed / left))
    return SCHEDULES[record.name](record, after)


def ends_cycle(record: Any, course: SchedulePosition) -> bool:
    """Whether this step is the last of a cycle of `cosine_restarts`, but for the training's last."""
    if record.name != "cosine_restarts":
        return False
    warm_up = record.warmup_epochs * course.steps_an_epoch
    left = course.epochs * course.steps_an_epoch - warm_up
    passed = course.step - warm_up
    if passed < 0 or passed + 1 >= left:
        return False
    cycles: int = record.cycles
    return bool(passed * cycles // left != (passed + 1) * cycles // left)
