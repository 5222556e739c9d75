"""Leaderboards and comparisons of sweeps."""

from service.reports.comparisons import Comparison, Difference
from service.reports.leaderboards import Leaderboard
from service.reports.recipe_cells import heading, recipe_cell, short
from service.reports.standings import Standing

__all__ = ["Comparison", "Difference", "Leaderboard", "Standing", "heading", "recipe_cell", "short"]
