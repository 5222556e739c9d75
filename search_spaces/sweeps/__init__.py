"""Sweep files: their sections, metrics and rules, and forecasts from the file alone, without data."""

from search_spaces.sweeps.forecasts import varying_names
from search_spaces.sweeps.metrics import (
    COST_INFOS,
    COSTS,
    LATENCY,
    METRIC_INFOS,
    METRICS,
    PARAMETER_COUNT,
    Goal,
    Metric,
)
from search_spaces.sweeps.sections import DataColumns, DataLayout
from search_spaces.sweeps.spec import NAME_PATTERN, SECTIONS

__all__ = [
    "COSTS",
    "COST_INFOS",
    "LATENCY",
    "METRICS",
    "METRIC_INFOS",
    "NAME_PATTERN",
    "PARAMETER_COUNT",
    "SECTIONS",
    "DataColumns",
    "DataLayout",
    "Goal",
    "Metric",
    "varying_names",
]
