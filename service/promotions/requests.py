"""Requests for a promotion, as the outbox keeps them, and their outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from service.ledgers import Json

__all__ = ["PromotionOutcome", "PromotionRequest", "PromotionStatus"]


class PromotionStatus(StrEnum):
    """The state of a promotion.

    RUNNING: it is being carried out. WAITING: MLflow has not taken it; it stays in the outbox and is sent later.
    """

    PROMOTED = "promoted"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    RUNNING = "running"
    WAITING = "waiting"


@dataclass(frozen=True, kw_only=True)
class PromotionRequest:
    """A request to give a trial's model an alias.

    key: a random id, by which its outcome is found. confirmed: if a confirmation has decided for the trial's recipe.
    headline: how the model was chosen, in one sentence. evidence: the decision behind it, for the record.
    force: promote although the gate refuses. user_name: who asked.
    """

    key: str
    model: str
    alias: str
    trial_id: str
    confirmed: bool
    headline: str
    evidence: Json
    force: bool = False
    user_name: str | None = None

    def as_json(self) -> Json:
        """Return the request as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the request that `as_json` gave."""
        return cls(**values)

    def repeats(self, other: PromotionRequest) -> bool:
        """Return whether both ask for the same."""
        return self.as_json() | {"key": ""} == other.as_json() | {"key": ""}


@dataclass(frozen=True, kw_only=True)
class PromotionOutcome:
    """The outcome of a request.

    version: that has the alias now, or would have been given it. previous: the version that had it before.
    sentences: what happened and why, for people. evidence: the same for programs.
    """

    key: str
    status: PromotionStatus
    model: str
    alias: str
    trial_id: str
    version: str | None = None
    previous: str | None = None
    sentences: tuple[str, ...] = ()
    evidence: Json = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """The address under which MLflow serves the model."""
        return f"models:/{self.model}@{self.alias}"

    def as_json(self) -> Json:
        """Return the outcome as JSON values."""
        return asdict(self) | {"status": self.status.value, "sentences": list(self.sentences), "uri": self.uri}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the outcome that `as_json` gave."""
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        return cls(
            **known | {"status": PromotionStatus(values["status"]), "sentences": tuple(values.get("sentences", ()))}
        )
