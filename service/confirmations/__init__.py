"""Confirmation of a winner: what retrainings on fresh seeds prove about a sweep's best recipes."""

from service.confirmations.bootstrap import LeaderboardOptimism, optimism
from service.confirmations.contenders import (
    Contender,
    Retraining,
    Role,
    choose_contenders,
    confirmation_seeds,
    missing_retrainings,
    rank_search,
    sweep_digest,
)
from service.confirmations.decisions import Decision, Doubt, Outcome, decide
from service.confirmations.estimates import DifferenceEstimate, RecipeEstimate
from service.confirmations.evidence import FloatArray, RetrainedRecipe, SearchEvidence
from service.confirmations.records import Confirmation, RetrainingCounts
from service.confirmations.rules import IMAGES_FOR_CLAIM, IMAGES_FOR_PROBABILITY, ConfirmRule
from service.confirmations.score_texts import difference_text, interval_text, score_text
from service.confirmations.sentences import (
    explain_decision,
    explain_doubt,
    explain_leads,
    summarize_decision,
    what_next,
)

__all__ = [
    "IMAGES_FOR_CLAIM",
    "IMAGES_FOR_PROBABILITY",
    "ConfirmRule",
    "Confirmation",
    "Contender",
    "Decision",
    "DifferenceEstimate",
    "Doubt",
    "FloatArray",
    "LeaderboardOptimism",
    "Outcome",
    "RecipeEstimate",
    "RetrainedRecipe",
    "Retraining",
    "RetrainingCounts",
    "Role",
    "SearchEvidence",
    "choose_contenders",
    "confirmation_seeds",
    "decide",
    "difference_text",
    "explain_decision",
    "explain_doubt",
    "explain_leads",
    "interval_text",
    "missing_retrainings",
    "optimism",
    "rank_search",
    "score_text",
    "summarize_decision",
    "sweep_digest",
    "what_next",
]
