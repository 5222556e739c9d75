"""Confirmation of a winner: what retrainings on fresh seeds prove about a sweep's best recipes."""

from service.confirmations.decisions import Decision, Doubt, Outcome, decide
from service.confirmations.estimates import DifferenceEstimate, RecipeEstimate
from service.confirmations.evidence import FloatArray, RetrainedRecipe, SearchEvidence
from service.confirmations.optimism import LeaderboardOptimism, optimism
from service.confirmations.rules import IMAGES_FOR_CLAIM, IMAGES_FOR_PROBABILITY, ConfirmRule
from service.confirmations.sentences import explain_decision, explain_doubt, summarize_decision, what_next

__all__ = [
    "IMAGES_FOR_CLAIM",
    "IMAGES_FOR_PROBABILITY",
    "ConfirmRule",
    "Decision",
    "DifferenceEstimate",
    "Doubt",
    "FloatArray",
    "LeaderboardOptimism",
    "Outcome",
    "RecipeEstimate",
    "RetrainedRecipe",
    "SearchEvidence",
    "decide",
    "explain_decision",
    "explain_doubt",
    "optimism",
    "summarize_decision",
    "what_next",
]
