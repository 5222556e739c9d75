"""Sweep files: their sections, metrics and rules, and forecasts from the file alone, without data."""

from search_spaces.sweeps.forecasts import varying_names
from search_spaces.sweeps.metrics import METRIC_INFOS, METRICS, Goal, Metric
from search_spaces.sweeps.spec import NAME_PATTERN, SECTIONS

__all__ = ["METRICS", "METRIC_INFOS", "NAME_PATTERN", "SECTIONS", "Goal", "Metric", "varying_names"]
