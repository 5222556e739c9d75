"""A sweep as its driver would leave it in the ledger, with trials of every end, for tests of MLflow's contents."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

from search_spaces import Goal
from service.ledgers import Cause, Ending, EpochRow, Ledger, Sweep, SweepState, Trial, TrialState
from service.settings import Home
from service.tracking.senders import _deliveries
from service.tracking.trackers import Tracker

__all__ = ["Clock", "deliver_all", "mixed_sweep"]

DATA: dict[str, Any] = {
    "name": "photos",
    "digest": "d" * 32,
    "images": 100,
    "image_size": 32,
    "classes": {
        "cat": {"train": 25, "val": 10, "confirm": 5, "test": 10},
        "dog": {"train": 25, "val": 10, "confirm": 5, "test": 10},
    },
    "source": "photos",
    "split": {"val": 0.2, "confirm": 0.1, "test": 0.2, "seed": 0},
    "resized": {
        "bilinear": {
            "digest": "d" * 32,
            "splits": {name: {"images": n, "digest": name[0] * 32} for name, n in (("train", 50), ("test", 20))},
        }
    },
    "versions": {"python": "3.11", "torch": "2.15.0"},
}
DRAWN = ["freeze_depth", "optimizer.name", "optimizer.lr", "optimizer.weight_decay", "dropout.rate", "augment.policy"]
SETTINGS = {"space.drawn": DRAWN, "space.log": ["optimizer.lr", "optimizer.weight_decay"], "register.model": "photos"}


class Clock:
    """Milliseconds that rise by one second with each look."""

    def __init__(self, start: int = 1_790_000_000_000) -> None:
        self._ticks = itertools.count(start, 1000)

    def __call__(self) -> int:
        return next(self._ticks)


def mixed_sweep(ledger: Ledger, *, trials: int = 12, name: str = "photos", spec_file: str = "photos.yaml") -> Sweep:
    """Return a completed sweep of two optimizers whose trials were completed, pruned, failed, cancelled and retried."""
    sweep = ledger.sweeps.create(
        name=name,
        spec_text="name: photos\n",
        spec_file=spec_file,
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=0,
        data=DATA,
        settings=SETTINGS,
    )
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    rng = random.Random(0)
    for number in range(trials):
        _train(ledger, sweep, number, _recipe(number, rng), rng)
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    return ledger.sweeps.get(sweep.id)


def _recipe(number: int, rng: random.Random) -> dict[str, Any]:
    recipe: dict[str, Any] = {
        "backbone": "timm/tf_efficientnet_lite0",
        "freeze_depth": rng.choice([6, 7, 8, 9]),
        "optimizer.name": "adamw" if number % 2 else "nesterov",
        "optimizer.lr": 10 ** rng.uniform(-4, -2),
        "dropout.rate": rng.uniform(0, 0.5),
        "augment.policy": rng.choice(["none", "flip"]),
    }
    if recipe["optimizer.name"] == "adamw":
        recipe["optimizer.weight_decay"] = 10 ** rng.uniform(-3, -1)
    return recipe


def _train(ledger: Ledger, sweep: Sweep, number: int, recipe: dict[str, Any], rng: random.Random) -> Trial:
    trial = ledger.trials.create(
        sweep.id, number=number, point={}, recipe=recipe, identity=f"{number:016x}", seed=0, started=True
    )
    kind = number % 6
    attempt = 1
    if kind == 5:
        ledger.trials.retry(trial.id, attempt=1, cause=Cause.DIED, error="its process ended")
        attempt = ledger.trials.start_attempt(trial.id).attempt
    epochs, state = {1: (1, TrialState.PRUNED), 3: (0, TrialState.FAILED), 4: (1, TrialState.CANCELLED)}.get(
        kind, (3, TrialState.COMPLETED)
    )
    top = 0.9 - 0.05 * abs(math.log10(recipe["optimizer.lr"]) + 3) - 0.02 * abs(recipe["freeze_depth"] - 7)
    rows = [
        EpochRow(
            epoch=epoch,
            seconds=1.5,
            recorded_at=1_790_000_000_000 + number * 10_000 + epoch,
            readings={
                "train": {"loss": 1.0 / epoch},
                "val": {"accuracy": top - 0.1 / epoch + rng.uniform(0, 0.01), "loss": 0.8 / epoch},
            }
            | ({"system": {"cpu_utilization_percentage": 75.0}} if epoch == 3 else {}),
        )
        for epoch in range(1, epochs + 1)
    ]
    sharing = {
        "boundary": recipe["freeze_depth"],
        "training": "kept",
        "evaluation": "kept",
        "reason": "an image takes 7 ms to compute",
        "computed": 100,
        "read": 300,
        "saved_seconds": 1.25,
        "trouble": None,
        "node": "worker-1",
        "gpus": 0.5,
    }
    error = {TrialState.FAILED: "the loss is not finite in epoch 1", TrialState.CANCELLED: "cancelled"}.get(state)
    trace = "Traceback (most recent call last):\n  ...\nValueError: nan" if state is TrialState.FAILED else None
    return ledger.trials.record_epochs(
        trial.id,
        attempt=attempt,
        rows=rows,
        metric=sweep.metric,
        goal=sweep.goal,
        sharing=sharing,
        ending=Ending(state=state, error=error, trace=trace),
    )


def deliver_all(ledger: Ledger, home: Home, tracker: Tracker | None = None) -> Tracker:
    """Deliver what the ledger's sweeps have not sent, as a sender does."""
    tracker = tracker or Tracker(ledger, home)
    while sweep_ids := ledger.outbox.sweeps_with_unsent():  # a delivery may ask for files
        _deliver_once(ledger, tracker, sweep_ids)
    return tracker


def _deliver_once(ledger: Ledger, tracker: Tracker, sweep_ids: list[str]) -> None:
    for sweep_id in sweep_ids:
        for messages in _deliveries(ledger.outbox.unsent(sweep_id)):
            tracker.deliver(messages)
            ledger.outbox.mark_sent(*(message.id for message in messages))
