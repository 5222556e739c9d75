"""Messages for MLflow: their kinds, and which of them must arrive in order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.ledgers.records.json_data import Json
from service.ledgers.records.states import SweepState

__all__ = ["Message", "MessageKind"]


class MessageKind(StrEnum):
    """The kind of a message for MLflow. The values are stored in the ledger."""

    SWEEP_RUNNING = "sweep_running"
    SWEEP_PAUSED = "sweep_paused"
    SWEEP_INTERRUPTED = "sweep_interrupted"
    SWEEP_COMPLETED = "sweep_completed"
    SWEEP_STOPPED = "sweep_stopped"
    SWEEP_CANCELLED = "sweep_cancelled"
    SWEEP_FAILED = "sweep_failed"
    TRIAL_STARTED = "trial_started"
    EPOCHS = "epochs"
    TRIAL_FINISHED = "trial_finished"
    MODEL = "model"
    CANDIDATE = "candidate"
    PROMOTION = "promotion"
    REPORT = "report"

    @classmethod
    def for_sweep(cls, state: SweepState) -> MessageKind | None:
        """Return the kind that tells of a sweep in `state`; None for a state that MLflow is not told of."""
        return _SWEEP_KINDS.get(state)

    @property
    def sweep_state(self) -> SweepState | None:
        """The state of the sweep that the message tells of; None if it tells of something else."""
        return _SWEEP_STATES.get(self)


_SWEEP_STATES = {
    MessageKind.SWEEP_RUNNING: SweepState.RUNNING,
    MessageKind.SWEEP_PAUSED: SweepState.PAUSED,
    MessageKind.SWEEP_INTERRUPTED: SweepState.INTERRUPTED,
    MessageKind.SWEEP_COMPLETED: SweepState.COMPLETED,
    MessageKind.SWEEP_STOPPED: SweepState.STOPPED,
    MessageKind.SWEEP_CANCELLED: SweepState.CANCELLED,
    MessageKind.SWEEP_FAILED: SweepState.FAILED,
}
_SWEEP_KINDS = {state: kind for kind, state in _SWEEP_STATES.items()}


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message for MLflow. tries: the number of failed deliveries."""

    id: int
    sweep_id: str
    trial_id: str | None
    kind: MessageKind
    payload: Json
    created_at: int
    tries: int

    @property
    def stream(self) -> str:
        """The stream that the message belongs to. Messages of one stream arrive in order; streams do not wait."""
        if self.kind in (MessageKind.MODEL, MessageKind.CANDIDATE):
            return "model"
        if self.kind is MessageKind.PROMOTION:
            return f"promotion {self.id}"
        if self.kind is MessageKind.REPORT:  # a report that cannot be written holds up nothing else
            return f"report {self.sweep_id}"
        return self.trial_id or self.sweep_id

    @property
    def is_about_trial(self) -> bool:
        """True if the message is about a trial, and not about a sweep or a model."""
        return self.stream == self.trial_id

    @property
    def ends_trial(self) -> bool:
        """True if the message is the last about the trial's attempt."""
        return self.kind is MessageKind.TRIAL_FINISHED

    @property
    def starts_sweep(self) -> bool:
        """True if every other message of the sweep depends on this message."""
        return self.kind is MessageKind.SWEEP_RUNNING
