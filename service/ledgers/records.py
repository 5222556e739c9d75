"""Rows of the ledger as frozen values."""

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
    """One sweep. Times are UTC milliseconds."""

    id: str
    name: str
    state: SweepState
    spec_text: str
    spec_file: str
    metric: str
    goal: Goal
    seed: int
    data: Json
    plan: Json
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    best_trial_id: str | None = None
    error: str | None = None
    mlflow: Json | None = None
    registered: Json | None = None

    @property
    def drawn(self) -> list[str]:
        """The recipe names that may differ between its trials."""
        return list(self.plan.get("space.drawn", ()))

    @property
    def seconds(self) -> float | None:
        """Wall time from start to end; None while it runs or before it started."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at) / 1000


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One recipe with one training seed. `point` is the searcher's spelling, `recipe` the resolved values.

    checkpoint: of the best epoch; latest: of the newest report.
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
    """How an attempt ends: a finished state, with the reason where it did not complete, or `paused`, to go on later."""

    state: TrialState
    error: str | None = None
    trace: str | None = None

    def __post_init__(self) -> None:
        assert self.state.is_finished or self.state is TrialState.PAUSED, self.state


@dataclass(frozen=True, kw_only=True)
class TrialCounts:
    """A sweep's trials by state, and the extremes of their best values, failed trials apart."""

    states: Mapping[str, int] = field(default_factory=dict)
    highest: float | None = None
    lowest: float | None = None

    def best_value(self, goal: Goal) -> float | None:
        """Return the best value of all trials that did not fail."""
        return self.highest if goal is Goal.MAXIMIZE else self.lowest

    @property
    def total(self) -> int:
        return sum(self.states.values())

    def with_state(self, state: TrialState, count: int, highest: float | None, lowest: float | None) -> TrialCounts:
        """The standing with `count` more trials in `state`, whose best values lie between these."""
        states = {**self.states, state.value: count}
        if state is TrialState.FAILED:
            return replace(self, states=states)
        highs = [value for value in (self.highest, highest) if value is not None]
        lows = [value for value in (self.lowest, lowest) if value is not None]
        return TrialCounts(states=states, highest=max(highs, default=None), lowest=min(lows, default=None))


class SweepAction(StrEnum):
    """What can be asked of whoever drives a sweep, from elsewhere.

    PAUSE: running trials end at their next report, to go on later. STOP: they finish, no other starts. CANCEL: at once.
    """

    PAUSE = "pause"
    STOP = "stop"
    CANCEL = "cancel"

    @property
    def reason(self) -> str:
        """What the sweep says of its end."""
        return f"{_DONE[self]} by `meltpoint {self}`"


_DONE = {SweepAction.PAUSE: "paused", SweepAction.STOP: "stopped", SweepAction.CANCEL: "cancelled"}


class JournalEvent(StrEnum):
    """What can happen to a trial that decisions depend on."""

    ASKED = "asked"
    REPORTED = "reported"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """One line of a sweep's journal; first and last: the epochs reported."""

    trial_id: str
    kind: JournalEvent
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to drive a sweep, for `seconds` after each renewal. holder: a machine; attempt: counts the drivers."""

    sweep_id: str
    holder: str
    attempt: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SweepHistory:
    """A sweep as far as it came: its trials by number, their epochs, and what happened in the order of recording."""

    trials: tuple[Trial, ...]
    epochs: Mapping[str, Sequence[EpochRow]]
    journal: tuple[JournalEntry, ...]


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """What one finished epoch measured: metrics by split, without the split's name in front."""

    epoch: int
    seconds: float
    recorded_at: int
    readings: Mapping[str, Mapping[str, float]]

    def metrics(self, *splits: str) -> dict[str, float]:
        """Readings under their published names, such as `val/accuracy`; of train and val unless told otherwise."""
        return {
            f"{split}/{name}": value
            for split, of in self.readings.items()
            if split in (splits or ("train", "val"))
            for name, value in of.items()
        }

    def best_metrics(self) -> dict[str, float]:
        """The validation readings under `best/`, for the epoch at which the trial was best."""
        return {f"best/{name}": of for name, of in self.metrics("val").items()} | {"best/epoch": float(self.epoch)}


@dataclass(frozen=True, kw_only=True)
class Message:
    """One thing MLflow has still to be told."""

    id: int
    sweep_id: str
    trial_id: str | None
    kind: str
    payload: Json
    created_at: int
    tries: int

    @property
    def lane(self) -> str:
        """Messages of one lane must arrive in order; those of others need not wait for them."""
        return "model" if self.kind in ("model", "candidate") else self.trial_id or self.sweep_id

    @property
    def is_of_trial(self) -> bool:
        """Whether it tells of a trial, and neither of its sweep nor of its model."""
        return self.lane == self.trial_id

    @property
    def ends_trial(self) -> bool:
        """Whether nothing more will be told of this attempt."""
        return self.kind == "trial_finished"

    @property
    def starts_sweep(self) -> bool:
        """Whether every other message of the sweep builds on this one."""
        return self.kind == "sweep_running"
