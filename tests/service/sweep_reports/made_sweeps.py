"""Sweeps with trials, epochs and predictions in a ledger, made up for tests of reports."""

from __future__ import annotations

import base64
import math
import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search_spaces import Goal, Point, SweepSpec, parse_spec, sample
from service.ledgers import Ending, EpochRow, Ledger, PackedPredictions, Sweep, SweepState, Trial, TrialState
from service.plans import flat_settings
from trainables.training.predictions import pack, pack_labels

SPEC = """\
name: cells
data: {source: digits, image_size: 16}
metric: METRIC
space:
  freeze_depth: {values: [all, -1, -2, 0], default: -1}
  dropout.rate: {min: 0.0, max: 0.5}
  augment.policy: {values: [none, flip, lecture7]}
  batch_size: {min: 8, max: 64, int: true, log: true}
  optimizer:
    one_of:
      - {name: adamw, lr: {min: 1.0e-4, max: 1.0e-2, log: true}, weight_decay: {min: 1.0e-4, max: 0.1, log: true}}
      - {name: nesterov, lr: {min: 1.0e-3, max: 0.3, log: true}, momentum: {value: 0.9}}
search: {algorithm: random, seed: 3}
budget: {trials: 1000, epochs: 4}
"""
ACCURACY = "{name: val/accuracy, goal: maximize}"
START = 1_800_000_000_000


def pack_as_before(packed: str) -> str:
    """Return packed predictions as older versions packed them: without the probabilities of predicted classes."""
    content = zlib.decompress(base64.b64decode(packed.removeprefix("2:")))
    return base64.b64encode(zlib.compress(content[: len(content) // 3 * 2])).decode()


class Clock:
    """A clock in milliseconds that stands until a test moves it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@dataclass
class MadeSweep:
    """A sweep whose trials a test makes up, two at a time.

    metric: as the sweep file names it. classes: names of the images' classes. images: number of val images.
    """

    ledger: Ledger
    clock: Clock
    metric: str = ACCURACY
    classes: tuple[str, ...] = ("sound", "broken")
    images: int = 60
    spec_text: str = SPEC
    name: str = "cells"
    model_costs: dict[str, Any] | None = None
    spec: SweepSpec = field(init=False)
    sweep: Sweep = field(init=False)

    def __post_init__(self) -> None:
        text = self.spec_text.replace("METRIC", self.metric)
        self.spec = parse_spec(text, file="sweep.yaml")
        counts = {name: {"train": 100, "val": self.images // len(self.classes)} for name in self.classes}
        self.sweep = self.ledger.sweeps.create(
            name=self.name,
            spec_text=text,
            spec_file="sweep.yaml",
            metric=self.spec.metric.name,
            goal=self.spec.metric.goal,
            seed=3,
            data={"name": "digits", "images": 200, "image_size": 16, "digest": "d" * 32, "classes": counts},
            settings=flat_settings(self.spec),
        )
        if self.model_costs:
            self.ledger.sweeps.note(self.sweep.id, model_costs=self.model_costs)
        self.sweep = self.ledger.sweeps.move(self.sweep.id, SweepState.RUNNING)
        self.labels = np.arange(self.images) % len(self.classes)
        self.ledger.predictions.note_labels(self.sweep.id, {"val": pack_labels(self.labels)})
        self._number = 0
        self._random = random.Random(7)

    @property
    def goal(self) -> Goal:
        """The direction in which the metric is better."""
        return self.spec.metric.goal

    def end(self, state: SweepState = SweepState.COMPLETED) -> Sweep:
        """End the sweep and return it."""
        self.sweep = self.ledger.sweeps.move(self.sweep.id, state)
        return self.sweep

    def add(
        self,
        *values: float,
        state: TrialState = TrialState.COMPLETED,
        point: Point | None = None,
        error: str = "it broke",
    ) -> Trial:
        """Add a trial with a value for each epoch; point: by default a random one."""
        trial = self.begin(self._number, point)
        self._number += 1
        rows = [self._row(epoch, value) for epoch, value in enumerate(values, start=1)]
        ending = Ending(state=state, error=error if state is TrialState.FAILED else None)
        self.clock.now += 1000 * max(len(rows), 1) // 2
        if not rows:
            return self.ledger.trials.finish(trial.id, attempt=1, ending=ending)
        best = self.goal.best(values)
        return self.ledger.trials.record_epochs(
            trial.id,
            attempt=1,
            rows=rows,
            metric=self.sweep.metric,
            goal=self.goal,
            ending=ending,
            predictions=[self.predictions(best)],
        )

    def begin(self, number: int, point: Point | None = None) -> Trial:
        """Begin a trial, which `finish` ends; point: by default a random one."""
        point = point or sample(self.spec.space, self._random)
        recipe = self.spec.space.recipe(point)
        return self.ledger.trials.create(
            self.sweep.id,
            number=number,
            point=point,
            recipe=recipe.flat(),
            identity=recipe.identity,
            seed=3,
            started=True,
        )

    def finish(self, trial: Trial, value: float) -> Trial:
        """Complete a trial that was begun, with one epoch."""
        return self.ledger.trials.record_epochs(
            trial.id,
            attempt=1,
            rows=[self._row(1, value)],
            metric=self.sweep.metric,
            goal=self.goal,
            ending=Ending(state=TrialState.COMPLETED),
            predictions=[self.predictions(value)],
        )

    def add_random(self, count: int) -> None:
        """Add trials whose value depends on the learning rate and, less, on the freeze depth; two of three pruned."""
        for index in range(count):
            point = sample(self.spec.space, self._random)
            rate = float(point.get("optimizer[adamw].lr", point.get("optimizer[nesterov].lr", 1e-3)))  # type: ignore[arg-type]
            best = 3e-3 if "optimizer[adamw].lr" in point else 0.05
            value = 0.9 - 0.05 * abs(math.log10(rate / best)) - 0.01 * (point.get("freeze_depth") == "all")
            value += self._random.gauss(0, 0.01)
            if self.goal is Goal.MINIMIZE:
                value = 1.5 - value
            pruned = index % 3 != 0
            values = [value + 0.02 * self.goal.sign * (epoch - 3) for epoch in range(1 if pruned else 4)]
            self.add(*values, state=TrialState.PRUNED if pruned else TrialState.COMPLETED, point=point)

    def predictions(self, share: float, *, predicted: Mapping[int, int] | None = None) -> PackedPredictions:
        """Return predictions of which about `share` are right; predicted: class to predict for each true class."""
        right = np.random.default_rng(5).random(self.images) < share
        guesses = np.where(right, self.labels, (self.labels + 1) % len(self.classes))
        if predicted is not None:
            guesses = np.array([predicted[int(label)] for label in self.labels])
        probabilities = np.full((self.images, len(self.classes)), 0.15 / max(1, len(self.classes) - 1))
        probabilities[np.arange(self.images), guesses] = 0.85
        packed = pack(probabilities, self.labels)
        return PackedPredictions(split="val", epoch=1, images=self.images, packed=packed)

    def _row(self, epoch: int, value: float) -> EpochRow:
        measure = self.sweep.metric.partition("/")[2]
        val = {"accuracy": 0.5, "loss": 1.0, "ece": 0.04} | {measure: value}
        readings = {"train": {"loss": 1.0}, "val": val}
        return EpochRow(epoch=epoch, seconds=1.0, recorded_at=self.clock.now + 1000 * epoch, readings=readings)
