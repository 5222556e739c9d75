"""Lanes: Ray Tune's Searcher and TrialScheduler over a source of trials.

A trial of Tune is a lane: a worker that trains one of our trials after another, as long as it lives and there are any.
Tune needs longer to create and end a trial than a head needs for an epoch; a lane is created once.

Tune pickles and deep-copies searcher and scheduler. The copies must be the original, since one source owns the trials;
they therefore reduce to a look-up by the source's key among those of this process.
"""

from __future__ import annotations

import math
import time
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from typing_extensions import override

from service.clusters import actor_of, end_waiting, error_text, forget_results, live_lanes
from service.ledgers import Json
from service.tune.sources import TrialSource
from trainables.trials.ray_worker import REPORT

START_SECONDS = 60.0
"""Time within which a worker starts if there is room for it, also on a busy machine."""

_REPORTS_KEPT = 100
"""Number of reports after which Tune is made to forget the results of all but those that it awaits."""

_BRIDGES: dict[str, TuneBridge] = {}


class TuneBridge:
    """Connects one source of trials with Tune while entered."""

    def __init__(self, source: TrialSource) -> None:
        self.source = source
        self._begun: dict[str, float] = {}
        """Monotonic time at which the lane was handed out, by its id."""
        self.searcher = LaneSearcher(self)
        self.scheduler = LaneScheduler(self)

    def __enter__(self) -> TuneBridge:
        _BRIDGES[self.source.key] = self
        return self

    def __exit__(self, *_: object) -> None:
        del _BRIDGES[self.source.key]

    def new_lane(self, lane: str) -> Json | None:
        """Return the config of a new lane; None if there is none to make now."""
        config = self.source.first_config(lane)
        if config is not None:
            self._begun[lane] = time.monotonic()
        return config

    def lacks_worker(self, lane: TuneTrial) -> bool:
        """Return whether the lane has waited for a worker for longer than a worker takes to start."""
        waited = time.monotonic() - self._begun.get(lane.trial_id, math.inf)
        return bool(lane.status == TuneTrial.PENDING and waited > START_SECONDS)


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
        return _searcher_of, (self._bridge.source.key,)

    @override
    def set_search_properties(self, metric: str | None, mode: str | None, config: Json, **spec: Any) -> bool:
        """Take note of nothing: the source knows its sweep."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the config of a new lane with its first trial; None for "ask again", or `Searcher.FINISHED`."""
        try:
            config = self._bridge.new_lane(trial_id)
            if config is not None:
                return config
            if not self._bridge.source.is_exhausted():
                return None  # not now: Tune asks again
        except Exception as error:
            self._bridge.source.fail(error)
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
        self._reports = 0

    def __reduce__(self) -> Any:
        return _scheduler_of, (self._bridge.source.key,)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: Json) -> str:
        """Record a report; return whether the lane continues. A worker without a trial reports nothing."""
        source = self._bridge.source
        self._reports += 1
        if self._reports % _REPORTS_KEPT == 0:
            forget_results(tune_controller)
        try:
            trial_id, report, about = result[REPORT]
            source.heard(trial.trial_id, about)
            ended = trial_id is None or source.record(trial.trial_id, trial_id, report)
            goes_on = not ended or self._follow(trial, tune_controller)
        except Exception as error:
            source.fail(error)
            goes_on = False
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def _follow(self, lane: TuneTrial, tune_controller: Any) -> bool:
        """Give the lane's worker its next config, if there is one; return whether it was given.

        An actor takes calls in order, so that it has the trial before Tune asks for its next step. If another lane
        lacks a worker, as after a node was lost, this lane ends, and Tune gives its worker to the other.
        """
        worker = actor_of(lane)
        lanes = () if self._bridge.source.binds else live_lanes(tune_controller)
        if worker is None or any(self._bridge.lacks_worker(other) for other in lanes):
            return False
        config = self._bridge.source.next_config(lane.trial_id)
        if config is None:
            return False
        worker.follow.remote(config)
        return True

    def choose_trial_to_run(self, tune_controller: Any) -> TuneTrial | None:
        """End the lanes that wait for a worker in vain; let Tune start those that are new."""
        source = self._bridge.source
        try:
            for lane in end_waiting(tune_controller, source.lanes_to_end()):
                source.removed(lane)
        except Exception as error:
            source.fail(error)
        return None if source.binds else super().choose_trial_to_run(tune_controller)

    @override
    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Record that the lane's worker was lost or failed."""
        try:
            self._bridge.source.crashed(trial.trial_id, error_text(trial))
        except Exception as error:
            self._bridge.source.fail(error)


__all__ = ["LaneScheduler", "LaneSearcher", "TuneBridge"]
