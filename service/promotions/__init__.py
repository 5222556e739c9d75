"""Promotions: a sweep's model moved to an alias that people serve from, the way back, and the history of aliases."""

from service.promotions.aliases import check_alias, check_model_name
from service.promotions.champions import MovedAlias, list_aliases, previous_version
from service.promotions.choices import ChosenModel, choose_model
from service.promotions.requests import PromotionOutcome, PromotionRequest, PromotionStatus

__all__ = [
    "ChosenModel",
    "MovedAlias",
    "PromotionOutcome",
    "PromotionRequest",
    "PromotionStatus",
    "check_alias",
    "check_model_name",
    "choose_model",
    "list_aliases",
    "previous_version",
]
