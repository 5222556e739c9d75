"""Sweeps, the actions that may be requested of them, and the leases of their drivers, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from search_spaces import Goal
from service.ledgers.records.json_data import Json
from service.ledgers.records.states import SweepState, TrialPhase

__all__ = ["Lease", "Sweep", "SweepAction"]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep. Times are UTC milliseconds since 1970.

    settings: sections of the sweep file, flat, such as `budget.trials`. data: name, digest and splits of the images,
    digests of the starting weights, versions of the packages.
    owner: the user who submitted it; None if `meltpoint run` made it. priority: a higher one goes first. slot_cap: most
    trials at once; None for no limit. idempotency_key, request_digest: by which a repeated submission is recognized.
    queued_at: when it last joined the queue. restarts: how often its driver was replaced. waiting_for: why it waits.
    phase: what its driver does, or did last. confirmation: rule, recipes, seeds and decision, once one began.
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
    owner: str | None = None
    priority: int = 0
    slot_cap: int | None = None
    idempotency_key: str | None = None
    request_digest: str | None = None
    queued_at: int | None = None
    restarts: int = 0
    waiting_for: str | None = None
    phase: TrialPhase = TrialPhase.SEARCH
    confirmation: Json | None = None

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


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to drive a sweep for `seconds` after each renewal.

    holder: the random id of a process. attempt: the number of this driver among the sweep's drivers, from 1.
    """

    sweep_id: str
    holder: str
    attempt: int
    seconds: float
