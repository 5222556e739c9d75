"""The progress of a sweep as its events tell it, for readers who follow it from elsewhere."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from search_spaces import Goal
from service.ledgers import FIRST_RETRAINING, Event, EventKind, Json, Sweep, SweepState, Trial, TrialPhase, TrialState
from service.runs import Snapshot

__all__ = ["SweepProgress"]


@dataclass(frozen=True, kw_only=True)
class _TrialProgress:
    """A trial as its events tell of it."""

    id: str
    number: int
    state: TrialState = TrialState.RUNNING
    attempt: int = 1
    epochs: int = 0
    best_value: float | None = None
    breaks: str | None = None


class SweepProgress:
    """Adds up the events of a sweep from its first one.

    Thread safety: `apply` from one thread, `snapshot` from any.

    Args:
        sweep: the sweep's row.
        clock: returns monotonic seconds.
    """

    def __init__(self, sweep: Sweep, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sweep, self._clock = sweep, clock
        self._settings = dict(sweep.settings)
        self._lock = threading.Lock()
        self._trials: dict[str, _TrialProgress] = {}
        self._retrainings: int | None = None
        self._recipes: dict[str, Json] = {}
        self._started_at = self._heard_at = 0
        self._heard = clock()
        self.state = sweep.state
        self.closing: str | None = None

    def apply(self, event: Event) -> None:
        """Take an event into account; an event that comes twice counts once."""
        self._heard_at, self._heard = event.at, self._clock()
        payload = event.payload
        if event.kind == EventKind.SWEEP_STATE:
            self.state = SweepState(payload["state"])
            if self.state is SweepState.RUNNING and not self._started_at:
                self._started_at = event.at
            self.closing = payload.get("error") if self.state.is_under_way else None
        elif event.kind == EventKind.CONFIRMING:
            if self._retrainings is None:
                self._started_at = event.at
            self._retrainings = (payload["finalists"] + 1) * payload["seeds"]
        elif event.kind == EventKind.SWEEP_CHANGED:
            self._settings |= {name: new for name, (_, new) in payload["changes"].items()}
        elif event.trial_id is not None:
            self._apply_to_trial(event.trial_id, event.kind, payload)

    def _apply_to_trial(self, trial_id: str, kind: str, payload: Json) -> None:
        trial = self._trials.get(trial_id) or _TrialProgress(id=trial_id, number=len(self._trials))
        if kind == EventKind.TRIAL_STARTED:
            number, attempt = payload.get("number", trial.number), payload.get("attempt", 1)
            trial = replace(trial, state=TrialState.RUNNING, number=number, attempt=attempt)
        elif kind == EventKind.TRIAL_REPORTED:
            best = payload.get("best_value", trial.best_value)
            epochs = max(trial.epochs, payload.get("epochs", 0))
            trial = replace(trial, epochs=epochs, best_value=best, breaks=payload.get("breaks"))
        elif kind == EventKind.TRIAL_WAITING:
            trial = replace(trial, state=TrialState(payload["state"]))
        elif kind == EventKind.TRIAL_ENDED:
            best = payload.get("best_value")
            trial = replace(
                trial, state=TrialState(payload["state"]), best_value=trial.best_value if best is None else best
            )
        else:
            return
        with self._lock:
            self._trials[trial_id] = trial

    def add_recipes(self, recipes: Mapping[str, Json]) -> None:
        """Take the recipes of trials by their ids, which events do not carry."""
        self._recipes |= recipes

    @property
    def lacks_recipes(self) -> bool:
        """True if a trial that runs, or the best one, has no recipe yet."""
        best = None if self.is_confirming else self.best
        shown = [trial.id for trial in self._present() if trial.state is TrialState.RUNNING]
        return any(trial_id not in self._recipes for trial_id in [*shown, *([best.id] if best else [])])

    @property
    def is_confirming(self) -> bool:
        """True if a confirmation has begun, so that its retrainings are shown."""
        return self._retrainings is not None

    @property
    def has_trials(self) -> bool:
        """True if a trial has started."""
        return bool(self._trials)

    @property
    def has_trained(self) -> bool:
        """True if all trials of the budget have ended, so that only the best model is left to register."""
        trials = [trial for trial in self._present() if trial.number < FIRST_RETRAINING]
        planned = self._settings.get("budget.trials")
        return isinstance(planned, int) and len(trials) >= planned and all(t.state.is_finished for t in trials)

    @property
    def elapsed(self) -> float:
        """Seconds since the sweep, or its confirmation, began to run, by the clock of the events' machine."""
        if not self._started_at:
            return 0.0
        return (self._heard_at - self._started_at) / 1000 + (self._clock() - self._heard)

    @property
    def best(self) -> Trial | None:
        """The best trial so far, as far as events tell of it."""
        ranked = [
            trial
            for trial in self._present()
            if trial.number < FIRST_RETRAINING
            and trial.best_value is not None
            and trial.breaks is None
            and trial.state is not TrialState.FAILED
        ]
        best = min(ranked, key=lambda trial: _rank(trial, self._sweep.goal), default=None)
        return None if best is None else self._as_trial(best)

    def snapshot(self) -> Snapshot:
        """Return the sweep at this moment; once its confirmation has begun, the retrainings alone."""
        is_confirming = self.is_confirming
        trials = [
            trial
            for trial in self._present()
            if (trial.number >= FIRST_RETRAINING) is is_confirming
            and not (is_confirming and trial.state is TrialState.CANCELLED)
        ]
        budget = self._retrainings if self._retrainings is not None else int(self._settings.get("budget.trials", 0))
        wall = self._settings.get("budget.wall")
        return Snapshot(
            states=dict(Counter(trial.state for trial in trials)),
            planned=max(len(trials), budget),
            epochs=sum(trial.epochs for trial in trials),
            elapsed=self.elapsed,
            best=None if is_confirming else self.best,
            running=tuple(self._as_trial(trial) for trial in trials if trial.state is TrialState.RUNNING),
            epochs_each=int(self._settings.get("budget.epochs", 0)),
            metric=self._sweep.metric,
            closing=self.closing,
            wall=float(wall) if isinstance(wall, int | float) and not is_confirming else None,
            phase=TrialPhase.CONFIRM if is_confirming else TrialPhase.SEARCH,
        )

    def _present(self) -> list[_TrialProgress]:
        with self._lock:
            return list(self._trials.values())

    def _as_trial(self, trial: _TrialProgress) -> Trial:
        return Trial(
            id=trial.id,
            sweep_id=self._sweep.id,
            number=trial.number,
            point={},
            recipe=self._recipes.get(trial.id, {}),
            identity="",
            seed=self._sweep.seed,
            state=trial.state,
            attempt=trial.attempt,
            epochs=trial.epochs,
            created_at=0,
            best_value=trial.best_value,
        )


def _rank(trial: _TrialProgress, goal: Goal) -> tuple[float, int]:
    assert trial.best_value is not None
    return goal.sort_key(trial.best_value), trial.number
