"""Messages for MLflow: their kinds, and which of them must arrive in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from service.ledgers.records.json_data import Json
from service.ledgers.records.states import SweepState

__all__ = ["REGISTRATION", "Message", "MessageKind", "Waiting"]


REGISTRATION: Final = "the registration of the best model"
"""The subject of a message that asks for it."""


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
    FILES = "files"

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
            return f"{self.kind.value} {self.sweep_id}"
        if self.kind is MessageKind.PROMOTION:
            return f"promotion {self.id}"
        if self.comes_last:  # files that cannot be written hold up nothing else
            return f"{self.kind.value} {self.sweep_id}"
        return self.trial_id or self.sweep_id

    @property
    def comes_last(self) -> bool:
        """True for files of a sweep's runs, which are sent after all that can be written without them."""
        return self.kind in (MessageKind.FILES, MessageKind.REPORT)

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


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Messages of a sweep that MLflow has not taken, all for one reason.

    messages: their number. subjects: the things that they are about, for people. error: the reason; None before the
    first try.
    """

    messages: int
    subjects: tuple[str, ...]
    error: str | None

    def as_json(self) -> Json:
        """Return it as JSON values, as `status -o json` prints it."""
        return {"messages": self.messages, "subjects": list(self.subjects), "error": self.error}

    @classmethod
    def group(cls, messages: Sequence[tuple[Message, str | None]]) -> list[Self]:
        """Group unsent messages of one sweep, oldest first, each with its own error, by their reasons.

        A message without an error of its own waits for the sweep's start, or for an earlier one of its stream.
        """
        start: str | None = None
        by_stream: dict[str, str | None] = {}
        groups: dict[str | None, list[tuple[Message, str | None]]] = {}
        for message, own in messages:
            error = by_stream[message.stream] = own or by_stream.get(message.stream) or start
            start = start or (error if message.starts_sweep else None)
            # Artifacts of one place are refused for one reason, though its text may name other files.
            groups.setdefault(error and error.partition(" from where Meltpoint runs: ")[0], []).append((message, error))
        return [
            cls(
                messages=len(group),
                subjects=tuple(dict.fromkeys(_SUBJECTS[message.kind] for message, _ in group)),
                error=group[0][1],
            )
            for group in groups.values()
        ]


_SUBJECTS = {
    **dict.fromkeys(_SWEEP_STATES, "the sweep's run"),
    **dict.fromkeys((MessageKind.TRIAL_STARTED, MessageKind.EPOCHS, MessageKind.TRIAL_FINISHED), "trials' runs"),
    MessageKind.MODEL: "models",
    MessageKind.CANDIDATE: REGISTRATION,
    MessageKind.PROMOTION: "a promotion",
    MessageKind.REPORT: "the report",
    MessageKind.FILES: "files of runs",
}
