"""Leaderboards and comparisons of sweeps."""

from service.reports.comparisons import Comparison, Difference
from service.reports.leaderboards import Leaderboard
from service.reports.recipe_cells import heading, recipe_cell, short

__all__ = ["Comparison", "Difference", "Leaderboard", "heading", "recipe_cell", "short"]
