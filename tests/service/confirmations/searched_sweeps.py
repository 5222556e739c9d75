"""Sweeps in a ledger whose trials have predictions of single images, made up for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from search_spaces import Recipe, parse_spec
from service.confirmations import Confirmation, ConfirmRule, missing_retrainings
from service.confirmations.planning import plan_confirmation
from service.ledgers import (
    FIRST_RETRAINING,
    Ending,
    EpochRow,
    Ledger,
    PackedPredictions,
    Sweep,
    SweepState,
    Trial,
    TrialPhase,
    TrialState,
)
from service.plans import flat_settings
from trainables.training.predictions import pack, pack_labels

SPEC = """
name: cells
data: {source: digits, image_size: 16}
space: {dropout.rate: {min: 0.0, max: 0.9, default: 0.0}}
search: {algorithm: random, seed: 3}
budget: {trials: 4, epochs: 2}
"""
SPLITS = {"val": 200, "confirm": 150, "test": 120}
CLASSES = 3


class SearchedSweep:
    """A sweep whose search has ended, and whose models are right on images with given chances.

    chances: accuracy by dropout rate; the default recipe has the rate 0. owner: the user who submitted it.
    """

    def __init__(
        self, ledger: Ledger, chances: dict[float, float], *, spec: str = SPEC, seed: int = 0, owner: str | None = None
    ) -> None:
        self.ledger, self.chances = ledger, chances
        self.random = np.random.default_rng(seed)
        self.spec = parse_spec(spec, file="sweep.yaml")
        counts = {"classes": {"a": dict(SPLITS), "b": {}, "c": {}}, "digest": "d"}
        columns: dict[str, Any] = {
            "name": "cells",
            "spec_text": spec,
            "spec_file": "sweep.yaml",
            "metric": self.spec.metric.name,
            "goal": self.spec.metric.goal,
            "seed": 3,
            "settings": flat_settings(self.spec),
        }
        if owner is None:
            sweep = ledger.sweeps.create(**columns, data=counts)
        else:
            sweep, _ = ledger.sweeps.submit(**columns, owner=owner)
            ledger.sweeps.note(sweep.id, data=counts)
        ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        self.labels = {split: self.random.integers(0, CLASSES, size=images) for split, images in SPLITS.items()}
        ledger.predictions.note_labels(sweep.id, {split: pack_labels(labels) for split, labels in self.labels.items()})
        for number, rate in enumerate(chances):
            self._train(sweep, number, rate, 3, TrialPhase.SEARCH, ("val",))
        self.sweep = ledger.sweeps.move(sweep.id, SweepState.COMPLETED)

    def plan(self, **rule: float) -> Confirmation:
        """Plan the confirmation and note it."""
        confirmation = plan_confirmation(self.ledger, self.sweep, self.spec, ConfirmRule(**rule))  # type: ignore[arg-type]
        self.ledger.sweeps.note(self.sweep.id, confirmation=confirmation.as_json())
        return confirmation

    def retrain(self, confirmation: Confirmation, *, failing: Sequence[tuple[float, int]] = ()) -> None:
        """Train everything that is missing, the spare included; failing: rate and place of the seed."""
        seeds = confirmation.seeds
        for _ in range(2):
            begun = self.ledger.trials.list(self.sweep.id, TrialPhase.CONFIRM)
            missing = missing_retrainings(confirmation.contenders, seeds, begun)
            for place, retraining in enumerate(missing, start=len(begun)):
                rate = float(retraining.contender.recipe["dropout.rate"])
                fails = (rate, seeds.index(retraining.seed)) in failing
                number = FIRST_RETRAINING + place
                splits = () if fails else ("val", "confirm")
                retrains = retraining.contender.trial_id
                self._train(self.sweep, number, rate, retraining.seed, TrialPhase.CONFIRM, splits, retrains)

    def begin(self, confirmation: Confirmation) -> Trial:
        """Begin one more retraining, of the default with the spare seed, and let it run."""
        number = FIRST_RETRAINING + len(self.ledger.trials.list(self.sweep.id, TrialPhase.CONFIRM))
        recipe = Recipe.from_flat(confirmation.default.recipe)
        return self.ledger.trials.create(
            self.sweep.id,
            number=number,
            point={},
            recipe=recipe.flat(),
            identity=recipe.identity,
            seed=confirmation.seeds[-1],
            started=True,
            phase=TrialPhase.CONFIRM,
        )

    def read_test(self, trials: Sequence[Trial]) -> None:
        """Add predictions on the test images."""
        for trial in trials:
            chance = self.chances[float(trial.recipe["dropout.rate"])]
            self.ledger.predictions.add(trial.id, [self._predict("test", chance, "decision")])

    def _train(
        self,
        sweep: Sweep,
        number: int,
        rate: float,
        seed: int,
        phase: TrialPhase,
        splits: Sequence[str],
        retrains: str | None = None,
    ) -> None:
        recipe = Recipe.from_flat({"dropout.rate": rate})
        trial = self.ledger.trials.create(
            sweep.id,
            number=number,
            point={},
            recipe=recipe.flat(),
            identity=recipe.identity,
            seed=seed,
            started=True,
            phase=phase,
            retrains=retrains,
        )
        if not splits:
            ending = Ending(state=TrialState.FAILED, error="it failed")
            self.ledger.trials.finish(trial.id, attempt=1, ending=ending)
            return
        predictions = [self._predict(split, self.chances[rate], phase.value) for split in splits]
        accuracy = self._accuracy
        row = EpochRow(
            epoch=1, seconds=1.0, recorded_at=1, readings={"val": {"accuracy": accuracy, "loss": self._loss}}
        )
        self.ledger.trials.record_epochs(
            trial.id,
            attempt=1,
            rows=[row],
            metric=self.spec.metric.name,
            goal=self.spec.metric.goal,
            ending=Ending(state=TrialState.COMPLETED),
            predictions=predictions,
        )

    def _predict(self, split: str, chance: float, read_by: str) -> PackedPredictions:
        labels = self.labels[split]
        right = self.random.random(len(labels)) < chance
        predicted = np.where(right, labels, (labels + 1) % CLASSES)
        probabilities = np.full((len(labels), CLASSES), 0.1)
        probabilities[np.arange(len(labels)), predicted] = 0.8
        if split == "val":
            self._accuracy = float(right.mean())
            self._loss = float(-np.log(np.where(right, 0.8, 0.1)).mean())
        packed = pack(probabilities, labels)
        return PackedPredictions(split=split, epoch=1, images=len(labels), packed=packed, read_by=read_by)
