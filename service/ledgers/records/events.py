"""Events, from which followers of a sweep learn how it goes, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.ledgers.records.json_data import Json

__all__ = ["Event", "EventKind"]


class EventKind(StrEnum):
    """The kind of an event. The values are stored in the ledger; payloads are given in braces.

    SWEEP_STATE {state, error}. TRIAL_STARTED {number, attempt, node}; node: its name, if it is known. TRIAL_REPORTED
    {epochs, value, best_value}: one for each epoch, also of those reported together; the value is that of the epoch.
    TRIAL_WAITING {state, error}: the attempt ended; the trial is paused, or will be tried again. TRIAL_ENDED {state,
    best_value, error}. BEST {trial_id, value}: a better trial than all before. PHASE {phase, done, total}. CONFIRMING
    {finalists, seeds}. DECIDED {outcome, summary}. NOTICE {text}. IMAGE_SKIPPED {name, reason}. REGISTERED {uri, ...}.
    PROGRESS {...}: numbers of a live view. SWEEP_CHANGED {changes}: for each setting, such as `budget.trials` or
    `priority`, its old and its new value. PROMOTION {key, status, ...}: what became of a request for a promotion.
    """

    SWEEP_STATE = "sweep_state"
    TRIAL_STARTED = "trial_started"
    TRIAL_REPORTED = "trial_reported"
    TRIAL_WAITING = "trial_waiting"
    TRIAL_ENDED = "trial_ended"
    BEST = "best"
    PHASE = "phase"
    CONFIRMING = "confirming"
    DECIDED = "decided"
    NOTICE = "notice"
    IMAGE_SKIPPED = "image_skipped"
    REGISTERED = "registered"
    PROGRESS = "progress"
    PROMOTION = "promotion"
    SWEEP_CHANGED = "sweep_changed"


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event of a sweep. Ids rise in the order of commits. at: UTC milliseconds since 1970."""

    id: int
    sweep_id: str
    trial_id: str | None
    kind: EventKind
    payload: Json
    at: int
