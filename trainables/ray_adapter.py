"""The one file of this package that knows Ray: a reused Tune actor that trains one recipe after another."""

from __future__ import annotations

import time
import traceback
from typing import Any

import ray
import torch
from ray import tune

from search_spaces import MeltpointError
from trainables.trials import TrialPlan, TrialTraining

Json = dict[str, Any]

BARRIER_SECONDS = 90.0


class TrialWorker(tune.Trainable):
    """Trains the recipe in its config, then the next: the process and its imports stay, all else is made anew.

    A failing trial is a report with `error` set, so that the actor lives on; on a GPU only errors of ours are.
    `config` holds `trial` (a `TrialPlan` as plain values), `threads`, and `start_line` (the name of a start line).
    """

    def setup(self, config: Json) -> None:
        torch.set_num_threads(config["threads"])
        self._start_line: Any = ray.get_actor(config["start_line"])
        self._wait_for_all()
        self._take(config)

    def reset_config(self, new_config: Json) -> bool:
        self._take(new_config)
        return True

    def _take(self, config: Json) -> None:
        self._plan = TrialPlan(**config["trial"])
        self._trial: TrialTraining | None = None

    def _wait_for_all(self) -> None:
        ray.get(self._start_line.arrive.remote())
        patience = time.monotonic() + BARRIER_SECONDS
        while ray.get(self._start_line.missing.remote()) > 0 and time.monotonic() < patience:
            time.sleep(0.05)

    def _called_in(self) -> bool:
        return bool(ray.get(self._start_line.called_in.remote()))

    def step(self) -> Json:
        """Train up to the next report."""
        try:
            if self._trial is None:
                self._trial = TrialTraining(self._plan)
            return self._trial.advance(called_in=self._called_in)
        except MeltpointError as error:
            return self._failure(str(error))
        except Exception as error:
            if self._plan.device != "cpu":
                raise  # what went wrong on a GPU may have spoilt the process: the next trial gets a new one
            return self._failure(f"{type(error).__name__}: {error}")

    def _failure(self, message: str) -> Json:
        report: Json = {"history": [], "done_training": True}
        if self._trial is not None:
            report = self._trial.report(done=True)
            self._trial = None
        return report | {"error": message, "trace": traceback.format_exc()}

    def cleanup(self) -> None:
        self._trial = None


def draw_start_line(name: str, workers: int) -> Any:
    """A start line for so many workers, found by its name; it goes when the handle that this returns does.

    None of them starts its first trial before all are up; later it calls them in.
    """

    # A class in here travels as code: its process need not import this module, and torch with it.
    class StartLine:
        def __init__(self, workers: int) -> None:
            self._missing = workers
            self._called_in = False

        def arrive(self) -> None:
            self._missing -= 1

        def missing(self) -> int:
            return self._missing

        def call_in(self) -> None:
            """Every worker shall report after the epoch that it is in."""
            self._called_in = True

        def called_in(self) -> bool:
            return self._called_in

        def open(self) -> None:
            """No more workers will come than have."""
            self._missing = 0

    remote: Any = ray.remote(num_cpus=0)(StartLine)
    return remote.options(name=name).remote(workers)
