"""Promotions, their outcomes, and the history of aliases as a service sends and takes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from service.ledgers import Promotion, PromotionAction
from service.promotions import MovedAlias, PromotionOutcome, PromotionStatus
from service.schemas.base import Answer, JsonObject, Milliseconds, Request

__all__ = ["AliasModel", "AliasMoveModel", "PromoteRequest", "PromotionModel", "RollbackRequest"]

_Alias = Annotated[str, Field(min_length=1, max_length=255)]


class PromoteRequest(Request):
    """A request to give a sweep's model an alias."""

    alias: _Alias = "champion"
    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Name of the registered model; null for that of the sweep's candidate."""
    force: bool = False
    """Promote also a model that is worse than the present one, or that cannot be compared with it."""
    unconfirmed: bool = False
    """Promote the best model of a search that was not confirmed."""


class RollbackRequest(Request):
    """A request to give an alias back to the version that had it before."""

    alias: _Alias = "champion"


class PromotionModel(Answer):
    """The outcome of a promotion."""

    key: str
    """Id of the request."""
    status: PromotionStatus
    """`running`: ask again; `waiting`: MLflow does not answer, and the request is kept."""
    model: str
    alias: str
    trial_id: str
    version: str | None = None
    """The version that has the alias now; if it was refused, the one that keeps it."""
    previous: str | None = None
    sentences: list[str] = Field(default_factory=list)
    """Sentences about what happened and why."""
    evidence: JsonObject = Field(default_factory=dict)
    """Decision of the confirmation, comparison with the version before, test images."""
    uri: str
    """The address of the model for MLflow."""

    @classmethod
    def from_record(cls, outcome: PromotionOutcome) -> PromotionModel:
        """Return the model of an outcome."""
        return cls(**outcome.as_json())

    def to_record(self) -> PromotionOutcome:
        """Return the outcome."""
        return PromotionOutcome.from_json(self.model_dump())


class AliasMoveModel(Answer):
    """A move of an alias from one version to another."""

    id: int
    model: str
    alias: str
    version: str
    action: PromotionAction
    previous: str | None = None
    sweep_id: str | None = None
    trial_id: str | None = None
    evidence: JsonObject | None = None
    user_name: str | None = None
    at: Milliseconds

    @classmethod
    def from_record(cls, move: Promotion) -> AliasMoveModel:
        """Return the model of a move."""
        return cls(**vars(move))

    def to_record(self) -> Promotion:
        """Return the move."""
        return Promotion(**self.model_dump())


class AliasModel(Answer):
    """An alias of a registered model: its last move, and the promotion of the version that it leads to."""

    last: AliasMoveModel
    origin: AliasMoveModel | None = None

    @classmethod
    def from_record(cls, alias: MovedAlias) -> AliasModel:
        """Return the model of an alias."""
        origin = None if alias.origin is None else AliasMoveModel.from_record(alias.origin)
        return cls(last=AliasMoveModel.from_record(alias.last), origin=origin)

    def to_record(self) -> MovedAlias:
        """Return the alias."""
        return MovedAlias(last=self.last.to_record(), origin=None if self.origin is None else self.origin.to_record())
