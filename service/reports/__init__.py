"""Leaderboards and comparisons of sweeps."""

from service.reports.columns import heading, short
from service.reports.comparisons import Comparison, Difference
from service.reports.leaderboards import Leaderboard

__all__ = ["Comparison", "Difference", "Leaderboard", "heading", "short"]
