"""Promotions of model versions to an alias, and the ways back, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.ledgers.records.json_data import Json

__all__ = ["Promotion", "PromotionAction"]


class PromotionAction(StrEnum):
    """The reason for which an alias was moved. The values are stored in the ledger."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """An alias of a registered model that was moved to a version.

    previous: the version that had the alias before. evidence: why this version. at: UTC milliseconds since 1970.
    """

    model: str
    alias: str
    version: str
    action: PromotionAction
    previous: str | None = None
    sweep_id: str | None = None
    trial_id: str | None = None
    evidence: Json | None = None
    user_name: str | None = None
    at: int = 0
    id: int = 0
