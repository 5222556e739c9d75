"""Ray Tune's interfaces over a coordinator: a Searcher that asks it, a TrialScheduler that records with it.

A trial of Tune's is a lane: a worker that trains one of our trials after another, for as long as there are any and it
lives. To make a trial and end it takes Tune longer than a head takes for an epoch; a lane is made once.

Tune pickles and deep-copies both; the copies must be the original, since one coordinator owns one ledger. They
therefore reduce to a look-up by sweep id among the coordinators of this process.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from service.coordination import Coordinator, Result, cause_of
from service.errors import StaleAttemptError
from service.ledgers import Json, Trial
from trainables.trials import DIED
from trainables.trials.ray_worker import REPORT

log = logging.getLogger(__name__)

MakeConfig = Callable[[Trial], Json]
"""What a worker is told to train that trial."""

START_SECONDS = 60.0
"""Within which a worker starts where there is room for it, also on a busy machine."""

_BRIDGES: dict[str, TuneBridge] = {}


class TuneBridge:
    """Names one coordinator to Tune, for as long as it runs (`with`)."""

    def __init__(
        self, coordinator: Coordinator, make_config: MakeConfig, *, when_exhausted: Callable[[], None]
    ) -> None:
        self.coordinator = coordinator
        self.make_config = make_config
        self.when_exhausted = when_exhausted
        self.failure: BaseException | None = None
        self._training: dict[str, str] = {}
        """Lane -> our trial, by their ids."""
        self._begun: dict[str, float] = {}
        """Lane -> when it was handed out."""
        self.searcher = LaneSearcher(self)
        self.scheduler = LaneScheduler(self)

    def __enter__(self) -> TuneBridge:
        _BRIDGES[self.coordinator.sweep.id] = self
        return self

    def __exit__(self, *_: object) -> None:
        del _BRIDGES[self.coordinator.sweep.id]

    def next_config(self, lane: str) -> Json | None:
        """For the trial that the lane trains from now on; None where there is none for it, at least not now."""
        trial = self.coordinator.next_trial()
        if trial is None:
            self.when_exhausted()
            return None
        self._training[lane] = trial.id
        self._begun.setdefault(lane, time.monotonic())
        return self.make_config(trial)

    def finds_no_place(self, lane: TuneTrial) -> bool:
        """Whether it has waited for a worker for longer than one takes to start."""
        waited = time.monotonic() - self._begun.get(lane.trial_id, math.inf)
        return bool(lane.status == TuneTrial.PENDING and waited > START_SECONDS)

    def trial_in(self, lane: str) -> str:
        """The id of our trial that the lane trains."""
        return self._training[lane]

    def guard(self, failure: BaseException) -> None:
        """Keep the first error of ours and close the coordinator, so that the sweep ends in order."""
        log.debug("failed inside Tune's loop", exc_info=failure)
        self.failure = self.failure or failure
        self.coordinator.close(f"{type(failure).__name__}: {failure}")


def _searcher_of(sweep_id: str) -> LaneSearcher:
    return _BRIDGES[sweep_id].searcher


def _scheduler_of(sweep_id: str) -> LaneScheduler:
    return _BRIDGES[sweep_id].scheduler


class LaneSearcher(Searcher):
    """Hands out lanes, each with its first trial."""

    def __init__(self, bridge: TuneBridge) -> None:
        super().__init__()
        self._bridge = bridge

    def __reduce__(self) -> Any:
        return _searcher_of, (self._bridge.coordinator.sweep.id,)

    def set_search_properties(self, metric: str | None, mode: str | None, config: Json, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        try:
            config = self._bridge.next_config(trial_id)
            if config is not None:
                return config
            if self._bridge.coordinator.waiting:
                return None  # not now: Tune asks again
        except Exception as error:
            self._bridge.guard(error)
        return Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: Json | None = None, error: bool = False) -> None:
        """The coordinator has told its searcher already."""

    def save(self, checkpoint_path: str) -> None:
        """The ledger holds the state; Tune's file of it stays empty."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was saved there."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """As `save`."""


class LaneScheduler(FIFOScheduler):
    """Records each report; where that ends our trial, the lane takes up the next one, or ends."""

    def __init__(self, bridge: TuneBridge) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._bridge = bridge

    def __reduce__(self) -> Any:
        return _scheduler_of, (self._bridge.coordinator.sweep.id,)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: Json) -> str:
        try:
            trial_id, report = result[REPORT]
            goes_on = not self._record(trial_id, report) or self._follow(trial, tune_controller)
        except Exception as error:
            self._bridge.guard(error)
            goes_on = False
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def _record(self, trial_id: str, report: Json) -> bool:
        """Whether our trial has ended."""
        try:
            return self._bridge.coordinator.record(trial_id, Result.parse(report))
        except StaleAttemptError:
            return True

    def _follow(self, lane: TuneTrial, tune_controller: Any) -> bool:
        """Have the worker take up the next trial, if there is one, before Tune asks it for its next step.

        An actor does things in the order in which it is asked. Where another lane finds no place, as after a node was
        lost, this one ends, and Tune gives its worker to that one.
        """
        if any(self._bridge.finds_no_place(other) for other in tune_controller.get_live_trials()):
            return False
        config = self._bridge.next_config(lane.trial_id)
        if config is None:
            return False
        worker: Any = lane.temporary_state.ray_actor
        worker.follow.remote(config)
        return True

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        try:
            cause = _cause(trial)
            self._bridge.coordinator.crashed(
                self._bridge.trial_in(trial.trial_id), _reason(cause), cause, cause_of(cause)
            )
        except Exception as error:
            self._bridge.guard(error)


def _cause(trial: TuneTrial) -> str:
    """What Ray wrote of a lost or failing worker."""
    file = trial.error_file
    return Path(file).read_text(errors="replace") if file and Path(file).exists() else ""


def _reason(cause: str) -> str:
    """The same in one line: how the process ended, else what was raised last."""
    lines = [line.strip() for line in cause.splitlines() if line.strip()]
    detail = next((line for line in lines if "Worker exit detail: " in line), None)
    if detail is not None:
        said = detail.partition("Worker exit detail: ")[2].partition(" If the process was killed")[0]
        return f"{DIED}: {said}"
    last = lines[-1] if lines else "no cause is known"
    _, died, how = last.partition(DIED)
    return f"{died}{how}" if died else f"the trial's worker failed: {last}"


__all__ = ["LaneScheduler", "LaneSearcher", "TuneBridge"]
