"""Leaderboards and comparisons of sweeps."""

from service.reports.comparisons import Comparison, Difference
from service.reports.data_notes import data_notes
from service.reports.leaderboards import Leaderboard
from service.reports.recipe_cells import heading, recipe_cell, short
from service.reports.retrainings import RetrainingResult, read_retrainings, retraining_table
from service.reports.standings import Standing

__all__ = [
    "Comparison",
    "Difference",
    "Leaderboard",
    "RetrainingResult",
    "Standing",
    "data_notes",
    "heading",
    "read_retrainings",
    "recipe_cell",
    "retraining_table",
    "short",
]
