"""Rows of the ledger as frozen records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from search_spaces import Goal
from service.ledgers.states import SweepState, TrialState

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep. Times are UTC milliseconds since 1970.

    settings: sections of the sweep file, flat, such as `budget.trials`. data: name, digest and splits of the images.
    """

    id: str
    name: str
    state: SweepState
    spec_text: str
    spec_file: str
    metric: str
    goal: Goal
    seed: int
    data: Json
    settings: Json
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    best_trial_id: str | None = None
    error: str | None = None
    mlflow: Json | None = None
    registered: Json | None = None

    @property
    def drawn(self) -> list[str]:
        """Names of the hyperparameters that may differ between its trials."""
        return list(self.settings.get("space.drawn", ()))

    @property
    def seconds(self) -> float | None:
        """Wall time from start to end; None until the sweep has ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at) / 1000


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A recipe with a training seed. Times are UTC milliseconds since 1970.

    point: values as the searcher drew them. recipe: resolved values. checkpoint: of the best epoch.
    latest: checkpoint of the newest report.
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


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of an attempt: a finished state, or `paused`; error: the reason, if the trial did not complete."""

    state: TrialState
    error: str | None = None
    trace: str | None = None

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


class SweepAction(StrEnum):
    """An action that any process may request from the one that drives a sweep.

    PAUSE: end running trials at their next report; they can be resumed. STOP: start no further trial, and let the
    running ones finish. CANCEL: end running trials at once, for good.
    """

    PAUSE = "pause"
    STOP = "stop"
    CANCEL = "cancel"

    @property
    def reason(self) -> str:
        """The reason that the sweep's row gives for its end."""
        return f"{_DONE[self]} by `meltpoint {self}`"


_DONE = {SweepAction.PAUSE: "paused", SweepAction.STOP: "stopped", SweepAction.CANCEL: "cancelled"}


class JournalEvent(StrEnum):
    """An event of a trial on which decisions depend."""

    ASKED = "asked"
    REPORTED = "reported"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """An entry of a sweep's journal; first, last: the epochs reported."""

    trial_id: str
    kind: JournalEvent
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to drive a sweep for `seconds` after each renewal.

    holder: a machine. attempt: the number of this driver among the sweep's drivers, from 1.
    """

    sweep_id: str
    holder: str
    attempt: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SweepHistory:
    """A sweep so far: trials by number, their epochs by trial id, and the journal in the order of recording."""

    trials: tuple[Trial, ...]
    epochs: Mapping[str, Sequence[EpochRow]]
    journal: tuple[JournalEntry, ...]


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """The readings of one finished epoch: by split, the metrics without the split's name.

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
