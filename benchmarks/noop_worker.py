"""A worker that reports made-up metrics instead of training."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from trainables.processes import Rendezvous
from trainables.trials.ray_worker import TrialWorker

TRAIN_METRICS = 3


class NoopRun:
    """A run that trains nothing. Its plan's `seed` is the number of values an epoch, including the epoch's seconds."""

    def take(self, plan: dict[str, Any]) -> None:
        self._plan, self._epoch = plan, 0

    def step(self, progress: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Report every epoch up to the next epoch of `report_at`, at once."""
        progress()
        rows = []
        while True:
            self._epoch += 1
            rows.append(self._row())
            if self._epoch in self._plan["report_at"]:
                done = self._epoch >= self._plan["epochs"]
                return {"history": rows, "done_training": done, "best_checkpoint": None}

    def close(self) -> None:
        """Do nothing."""

    def _row(self) -> dict[str, Any]:
        value = self._epoch / (self._epoch + 1)
        val = {"accuracy": value} | {f"m{i}": value + i for i in range(self._plan["seed"] - TRAIN_METRICS - 2)}
        return {
            "epoch": self._epoch,
            "seconds": 0.001,
            "recorded_at": time.time_ns() // 1_000_000,
            "readings": {"train": {f"m{i}": value - i for i in range(TRAIN_METRICS)}, "val": val},
        }


class NoopWorker(TrialWorker):
    """A worker whose runs train nothing."""

    def make_run(self, _config: dict[str, Any], _rendezvous: Rendezvous) -> NoopRun:
        return NoopRun()
