"""Trials, their epochs and their numbers by state, as frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from search_spaces import MOST_TRIALS, Goal
from service.ledgers.records.causes import Cause
from service.ledgers.records.json_data import Json
from service.ledgers.records.states import TrialPhase, TrialState

__all__ = ["FIRST_RETRAINING", "Ending", "EpochRow", "PackedPredictions", "Trial", "TrialCounts"]

FIRST_RETRAINING = MOST_TRIALS
"""The number of the first retraining of a sweep: no trial of a search has so high a number."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A recipe with a training seed. Times are UTC milliseconds since 1970.

    point: values as the searcher drew them. recipe: resolved values. checkpoint: of the best epoch.
    latest: checkpoint of the newest report. retrains: id of the search's trial with this recipe, if this trial is a
    retraining and the search had one. breaks: limits of the sweep's metrics that the best epoch breaks, in words;
    None if it keeps all. node: name of the node of the newest attempt; None if it is not known.
    """

    id: str
    sweep_id: str
    number: int
    point: Json
    recipe: Json
    identity: str
    seed: int
    state: TrialState
    attempt: int
    epochs: int
    created_at: int
    best_epoch: int | None = None
    best_value: float | None = None
    checkpoint: str | None = None
    latest: str | None = None
    sharing: Json | None = None
    error: str | None = None
    trace: str | None = None
    started_at: int | None = None
    finished_at: int | None = None
    mlflow_run_id: str | None = None
    phase: TrialPhase = TrialPhase.SEARCH
    retrains: str | None = None
    breaks: str | None = None
    node: str | None = None

    @staticmethod
    def make_id(sweep_id: str, number: int) -> str:
        """Return the id of a sweep's trial with that number; retrainings are counted from `c000` on."""
        if number >= FIRST_RETRAINING:
            return f"{sweep_id}-c{number - FIRST_RETRAINING:03d}"
        return f"{sweep_id}-{number:04d}"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of an attempt: a finished state, or `paused`; error: the reason, if the trial did not complete.

    cause: of a pause that the trial's node made necessary.
    """

    state: TrialState
    error: str | None = None
    trace: str | None = None
    cause: Cause | None = None

    def __post_init__(self) -> None:
        assert self.state.is_finished or self.state is TrialState.PAUSED, self.state


@dataclass(frozen=True, kw_only=True)
class TrialCounts:
    """Numbers of a sweep's trials by state, and the extremes of the best values of those that did not fail."""

    states: Mapping[str, int] = field(default_factory=dict)
    highest: float | None = None
    lowest: float | None = None

    def best_value(self, goal: Goal) -> float | None:
        """Return the best value of all trials that did not fail."""
        return self.highest if goal is Goal.MAXIMIZE else self.lowest

    @property
    def total(self) -> int:
        """The number of trials."""
        return sum(self.states.values())

    def with_state(self, state: TrialState, count: int, highest: float | None, lowest: float | None) -> TrialCounts:
        """Return these counts with `count` more trials in `state`, whose best values lie in that range."""
        states = {**self.states, state.value: count}
        if state is TrialState.FAILED:
            return replace(self, states=states)
        highs = [value for value in (self.highest, highest) if value is not None]
        lows = [value for value in (self.lowest, lowest) if value is not None]
        return TrialCounts(states=states, highest=max(highs, default=None), lowest=min(lows, default=None))


@dataclass(frozen=True, kw_only=True)
class PackedPredictions:
    """Predictions of a trial's model for each image of a split, in the split's order.

    epoch: of the model. packed: as `trainables.training.predictions` packs them. read_by: the part of a sweep that had
    the images read: `search`, `confirm`, `candidate` or `decision`. read_at: UTC milliseconds since 1970.
    """

    split: str
    epoch: int
    images: int
    packed: str
    read_by: str = "search"
    read_at: int = 0


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """The readings of one finished epoch: by split, the metrics without the split's name; `system`: use of the machine.

    seconds: duration. recorded_at: UTC milliseconds, as the worker measured them.
    """

    epoch: int
    seconds: float
    recorded_at: int
    readings: Mapping[str, Mapping[str, float]]

    def metrics(self, *splits: str) -> dict[str, float]:
        """Return readings by their published names, such as `val/accuracy`; by default those of train and val."""
        return {
            f"{split}/{name}": value
            for split, metrics in self.readings.items()
            if split in (splits or ("train", "val"))
            for name, value in metrics.items()
        }

    def best_metrics(self) -> dict[str, float]:
        """Return the validation readings as `best/val/...`, and `best/epoch`; this epoch is the trial's best."""
        best = {f"best/{name}": value for name, value in self.metrics("val").items()}
        return best | {"best/epoch": float(self.epoch)}
