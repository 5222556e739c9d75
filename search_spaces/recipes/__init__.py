"""Recipes, the vocabulary of their names and values, and forbidden combinations."""

from search_spaces.recipes.combinations import CAUTIONS, RULES, Caution, Rule, TrainingContext, broken_rules, cautions
from search_spaces.recipes.recipe import Recipe, other_way
from search_spaces.recipes.values import Value, same
from search_spaces.recipes.vocabulary import PARAMETERS, Parameter

__all__ = [
    "CAUTIONS",
    "PARAMETERS",
    "RULES",
    "Caution",
    "Parameter",
    "Recipe",
    "Rule",
    "TrainingContext",
    "Value",
    "broken_rules",
    "cautions",
    "other_way",
    "same",
]
