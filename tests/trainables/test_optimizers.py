from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from search_spaces.recipe import Recipe
from trainables.optimizers import OPTIMIZERS, build_optimizer

CURVATURE, START, STEPS = 3.0, 2.0, 25


def gradient(x: float) -> float:
    """Of the quadratic CURVATURE x^2 / 2."""
    return CURVATURE * x


def sgd(x: float) -> Iterator[float]:
    while True:
        x -= 0.05 * gradient(x)
        yield x


def momentum(x: float) -> Iterator[float]:
    velocity = 0.0
    while True:
        velocity = 0.8 * velocity + gradient(x)
        x -= 0.05 * velocity
        yield x


def nesterov(x: float) -> Iterator[float]:
    velocity = 0.0
    while True:
        slope = gradient(x)
        velocity = 0.8 * velocity + slope
        x -= 0.05 * (slope + 0.8 * velocity)
        yield x


def adagrad(x: float) -> Iterator[float]:
    squares = 0.0
    while True:
        slope = gradient(x)
        squares += slope**2
        x -= 0.05 * slope / (math.sqrt(squares) + 1e-3)
        yield x


def rmsprop(x: float) -> Iterator[float]:
    squares = 0.0
    while True:
        slope = gradient(x)
        squares = 0.7 * squares + 0.3 * slope**2
        x -= 0.05 * slope / (math.sqrt(squares) + 1e-3)
        yield x


def adam(x: float, decay: float = 0.0) -> Iterator[float]:
    first, second, step = 0.0, 0.0, 0
    while True:
        step += 1
        slope = gradient(x)
        first = 0.8 * first + 0.2 * slope
        second = 0.95 * second + 0.05 * slope**2
        x -= 0.05 * decay * x
        x -= 0.05 * (first / (1 - 0.8**step)) / (math.sqrt(second / (1 - 0.95**step)) + 1e-3)
        yield x


def adamw(x: float) -> Iterator[float]:
    return adam(x, decay=0.3)


SETTINGS = {
    "sgd": {},
    "momentum": {"momentum": 0.8},
    "nesterov": {"momentum": 0.8},
    "adagrad": {"eps": 1e-3},
    "rmsprop": {"alpha": 0.7, "eps": 1e-3},
    "adam": {"betas": [0.8, 0.95], "eps": 1e-3},
    "adamw": {"betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.3},
}
TEXTBOOK = [sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw]


@pytest.mark.parametrize("textbook", TEXTBOOK, ids=lambda rule: rule.__name__)
def test_each_step_is_the_textbooks(textbook: Callable[[float], Iterator[float]]) -> None:
    name = textbook.__name__
    settings = {f"optimizer.{key}": value for key, value in SETTINGS[name].items()}
    recipe = Recipe.from_flat({"optimizer.name": name, "optimizer.lr": 0.05, **settings})
    x = nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = build_optimizer(recipe.optimizer, [x])
    for step, expected in zip(range(STEPS), textbook(START), strict=False):
        optimizer.zero_grad()
        (CURVATURE * x**2 / 2).backward()
        optimizer.step()
        assert x.item() == pytest.approx(expected, rel=1e-9, abs=1e-12), step


def test_every_optimizer_of_the_vocabulary_is_built_and_descends() -> None:
    assert OPTIMIZERS.keys() == SETTINGS.keys()
    for name in OPTIMIZERS:
        record = Recipe.from_flat({"optimizer.name": name}).optimizer
        x = nn.Parameter(torch.tensor(START))
        optimizer = build_optimizer(record, [x])
        for _ in range(20):
            optimizer.zero_grad()
            (x**2).backward()
            optimizer.step()
        assert abs(x.item()) < START, name
