"""Runs one trial after another in one process: the process and its imports stay, everything else is made anew."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from search_spaces import MeltpointError
from trainables.devices import keep_freed_memory
from trainables.trials.plans import TrialPlan
from trainables.trials.trial import TrialTraining

__all__ = ["TrialRun"]

Json = dict[str, Any]


class TrialRun:
    """Trains a trial: `take` its plan, then `step` from report to report.

    A trial that fails gives a report with `error`, so that the process lives on. On a GPU this holds only for a
    MeltpointError; any other error is raised.

    reports_requested: asked after every epoch; once it returns True, the trial reports at once.
    """

    def __init__(self, *, threads: int, reports_requested: Callable[[], bool]) -> None:
        torch.set_num_threads(threads)
        keep_freed_memory()
        self._reports_requested = reports_requested
        self._plan: TrialPlan | None = None
        self._trial: TrialTraining | None = None

    def take(self, plan: Json) -> None:
        """Take up the next trial; plan: fields of a `TrialPlan`. Nothing of the last trial is kept."""
        self._plan = TrialPlan(**plan)
        self.close()

    def step(self, progress: Callable[[], None] = lambda: None) -> Json:
        """Train up to the next report; progress: called at most once a second."""
        assert self._plan is not None
        try:
            pulse = _Pulse(progress)
            if self._trial is None:
                self._trial = TrialTraining(self._plan, pulse)
            return self._trial.advance(reports_requested=self._reports_requested, beat=pulse)
        except MeltpointError as error:
            return self._failure(str(error))
        except Exception as error:
            if self._plan.device != "cpu":
                raise  # an error on a GPU may have spoilt the process: the next trial gets a new one
            return self._failure(f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Let go of the last trial."""
        if self._trial is not None:
            self._trial.close()
        self._trial = None

    def _failure(self, message: str) -> Json:
        report: Json = {"history": [], "done_training": True}
        if self._trial is not None:
            with suppress(MeltpointError):  # a full disk: another attempt trains the epochs that are not reported
                report = self._trial.report(done=True)
            self.close()
        return report | {"error": message, "trace": traceback.format_exc()}


class _Pulse:
    """Passes on at most one call per second."""

    def __init__(self, pass_on: Callable[[], None]) -> None:
        self._pass_on, self._last = pass_on, time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._last >= 1.0:
            self._last = now
            self._pass_on()
