"""The one file of this package that knows Ray: a reused Tune actor that trains one recipe after another."""

from __future__ import annotations

import time
import traceback
from typing import Any

import ray
import torch
from ray import tune

from search_spaces import MeltpointError
from trainables.trials import TrialPlan, TrialRun

Json = dict[str, Any]

BARRIER_SECONDS = 90.0


@ray.remote(num_cpus=0)
class StartLine:
    """Counts the workers that are up, so that none starts its first trial before all are."""

    def __init__(self, workers: int) -> None:
        self._missing = workers

    def arrive(self) -> None:
        self._missing -= 1

    def missing(self) -> int:
        return self._missing

    def open(self) -> None:
        """No more workers will come than have."""
        self._missing = 0


class TrialWorker(tune.Trainable):
    """Trains the recipe in its config, then the next: imports and data stay, everything of the trial is made anew.

    A failing trial is a report with `error` set and never an exception, so that the actor lives on. `config` holds
    `trial` (a `TrialPlan` as plain values), `threads`, and `start_line` (the name of a `StartLine`).
    """

    def setup(self, config: Json) -> None:
        torch.set_num_threads(config["threads"])
        self._wait_for_all(config["start_line"])
        self._take(config)

    def reset_config(self, new_config: Json) -> bool:
        self._take(new_config)
        return True

    def _take(self, config: Json) -> None:
        self._plan = TrialPlan(**config["trial"])
        self._trial: TrialRun | None = None

    @staticmethod
    def _wait_for_all(name: str) -> None:
        start_line: Any = ray.get_actor(name)
        ray.get(start_line.arrive.remote())
        patience = time.monotonic() + BARRIER_SECONDS
        while ray.get(start_line.missing.remote()) > 0 and time.monotonic() < patience:
            time.sleep(0.05)

    def step(self) -> Json:
        """Train up to the next report."""
        try:
            if self._trial is None:
                self._trial = TrialRun(self._plan)
            return self._trial.advance()
        except MeltpointError as error:
            return self._failure(str(error))
        except Exception as error:  # whatever a trial does, the sweep goes on
            return self._failure(f"{type(error).__name__}: {error}")

    def _failure(self, message: str) -> Json:
        finished = self._trial.unreported() if self._trial is not None else []
        return {"history": finished, "done_training": True, "error": message, "trace": traceback.format_exc()}

    def cleanup(self) -> None:
        self._trial = None


def draw_start_line(name: str, workers: int) -> Any:
    """A `StartLine` for so many workers, found by its name; it goes when the handle that this returns does."""
    remote: Any = StartLine
    return remote.options(name=name).remote(workers)
