"""Lanes: Ray Tune's Searcher and TrialScheduler over a coordinator.

A trial of Tune is a lane: a worker that trains one of our trials after another, as long as it lives and there are any.
Tune needs longer to create and end a trial than a head needs for an epoch; a lane is created once.

Tune pickles and deep-copies searcher and scheduler. The copies must be the original, since one coordinator owns one
ledger; they therefore reduce to a look-up by sweep id among the coordinators of this process.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from typing_extensions import override

from service.clusters import actor_of, error_text, live_lanes
from service.coordination import Coordinator, Result, cause_of
from service.errors import StaleAttemptError
from service.ledgers import Json, Trial
from trainables.trials import DIED
from trainables.trials.ray_worker import REPORT

log = logging.getLogger(__name__)

MakeConfig = Callable[[Trial], Json]
"""Returns the config by which a worker trains the trial."""

START_SECONDS = 60.0
"""Time within which a worker starts if there is room for it, also on a busy machine."""

_BRIDGES: dict[str, TuneBridge] = {}


class TuneBridge:
    """Connects one coordinator with Tune while entered."""

    def __init__(
        self, coordinator: Coordinator, make_config: MakeConfig, *, when_exhausted: Callable[[], None]
    ) -> None:
        self.coordinator = coordinator
        self.make_config = make_config
        self.when_exhausted = when_exhausted
        self.failure: BaseException | None = None
        self._training: dict[str, str] = {}
        """Id of our trial, by id of the lane."""
        self._begun: dict[str, float] = {}
        """Monotonic time at which the lane was handed out, by its id."""
        self.searcher = LaneSearcher(self)
        self.scheduler = LaneScheduler(self)

    def __enter__(self) -> TuneBridge:
        _BRIDGES[self.coordinator.sweep.id] = self
        return self

    def __exit__(self, *_: object) -> None:
        del _BRIDGES[self.coordinator.sweep.id]

    def next_config(self, lane: str) -> Json | None:
        """Return the config of the lane's next trial; None if there is none, at least now."""
        trial = self.coordinator.next_trial()
        if trial is None:
            self.when_exhausted()
            return None
        self._training[lane] = trial.id
        self._begun.setdefault(lane, time.monotonic())
        return self.make_config(trial)

    def lacks_worker(self, lane: TuneTrial) -> bool:
        """Return whether the lane has waited for a worker for longer than a worker takes to start."""
        waited = time.monotonic() - self._begun.get(lane.trial_id, math.inf)
        return bool(lane.status == TuneTrial.PENDING and waited > START_SECONDS)

    def trial_in(self, lane: str) -> str:
        """Return the id of our trial that the lane trains."""
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

    @override
    def set_search_properties(self, metric: str | None, mode: str | None, config: Json, **spec: Any) -> bool:
        """Take note of nothing: the coordinator knows its sweep."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the config of a new lane with its first trial; None for "ask again", or `Searcher.FINISHED`."""
        try:
            config = self._bridge.next_config(trial_id)
            if config is not None:
                return config
            if self._bridge.coordinator.waiting:
                return None  # not now: Tune asks again
        except Exception as error:
            self._bridge.guard(error)
        return Searcher.FINISHED

    @override
    def on_trial_complete(self, trial_id: str, result: Json | None = None, error: bool = False) -> None:
        """Do nothing: the coordinator has told its searcher already."""

    @override
    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger has the state."""

    @override
    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: nothing was saved."""

    @override
    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Do nothing: the ledger has the state."""


class LaneScheduler(FIFOScheduler):
    """Records each report; if it ends our trial, the lane takes up the next one, or ends."""

    def __init__(self, bridge: TuneBridge) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._bridge = bridge

    def __reduce__(self) -> Any:
        return _scheduler_of, (self._bridge.coordinator.sweep.id,)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: Json) -> str:
        """Record a report; return whether the lane continues."""
        try:
            trial_id, report = result[REPORT]
            goes_on = not self._record(trial_id, report) or self._follow(trial, tune_controller)
        except Exception as error:
            self._bridge.guard(error)
            goes_on = False
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def _record(self, trial_id: str, report: Json) -> bool:
        """Return whether our trial has ended."""
        try:
            return self._bridge.coordinator.record(trial_id, Result.parse(report))
        except StaleAttemptError:
            return True

    def _follow(self, lane: TuneTrial, tune_controller: Any) -> bool:
        """Give the lane's worker the next trial, if there is one; return whether it was given.

        An actor takes calls in order, so that it has the trial before Tune asks for its next step. If another lane
        lacks a worker, as after a node was lost, this lane ends, and Tune gives its worker to the other.
        """
        worker = actor_of(lane)
        if worker is None or any(self._bridge.lacks_worker(other) for other in live_lanes(tune_controller)):
            return False
        config = self._bridge.next_config(lane.trial_id)
        if config is None:
            return False
        worker.follow.remote(config)
        return True

    @override
    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Record that the lane's worker was lost or failed."""
        try:
            cause = error_text(trial)
            self._bridge.coordinator.crashed(
                self._bridge.trial_in(trial.trial_id), _reason(cause), cause, cause_of(cause)
            )
        except Exception as error:
            self._bridge.guard(error)


def _reason(cause: str) -> str:
    """Return the cause in one line: how the process ended, else the last error."""
    lines = [line.strip() for line in cause.splitlines() if line.strip()]
    detail = next((line for line in lines if "Worker exit detail: " in line), None)
    if detail is not None:
        exit_detail = detail.partition("Worker exit detail: ")[2].partition(" If the process was killed")[0]
        return f"{DIED}: {exit_detail}"
    last = lines[-1] if lines else "no cause is known"
    _, died, how = last.partition(DIED)
    return f"{died}{how}" if died else f"the trial's worker failed: {last}"


__all__ = ["LaneScheduler", "LaneSearcher", "TuneBridge"]
