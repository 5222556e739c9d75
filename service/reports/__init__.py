"""Leaderboards and comparisons of sweeps."""

from service.reports.columns import heading, recipe_cell, short
from service.reports.comparisons import Comparison, Difference
from service.reports.leaderboards import Leaderboard

__all__ = ["Comparison", "Difference", "Leaderboard", "heading", "recipe_cell", "short"]
