"""Recipes, spaces over them, and the sweep files that name both."""

from search_spaces.backbones import BACKBONES, BackboneInfo, map_side, resolve_freeze_depth
from search_spaces.documents import Document, load_document
from search_spaces.errors import MISSING, MeltpointError, Problem, SpecError, did_you_mean
from search_spaces.recipes import PARAMETERS, Parameter, Recipe, Value
from search_spaces.records import GROUPS, Record
from search_spaces.spaces import SHIPPED, Choice, Entry, Fixed, Space, grid_size, sample, shipped_document
from search_spaces.spaces.domains import Domain, Range
from search_spaces.spaces.grids import grid_points
from search_spaces.spaces.parser import parse_space
from search_spaces.spaces.space import Condition, Point
from search_spaces.sweeps import COSTS, METRICS, Goal, Metric, varying_names
from search_spaces.sweeps.forecasts import (
    architectures_used,
    count_recipes,
    expected_recipes,
    recipes_drawn,
    values_used,
    weights_used,
)
from search_spaces.sweeps.objectives import MetricSpec, format_metric
from search_spaces.sweeps.own_code import names_of_parts, own_code_used, own_metrics
from search_spaces.sweeps.recipe_files import assign_recipes
from search_spaces.sweeps.scheduler_rules import rungs_below
from search_spaces.sweeps.sections import (
    MOST_TRIALS,
    SCHEDULER_KEYS,
    BudgetSpec,
    ConfirmSpec,
    DataSpec,
    RegisterSpec,
    ResourcesSpec,
    SchedulerSpec,
    SearchSpec,
    SplitSpec,
)
from search_spaces.sweeps.spec import SweepSpec, load_spec, parse_spec, read_spec_text

__all__ = [
    "BACKBONES",
    "COSTS",
    "GROUPS",
    "METRICS",
    "MISSING",
    "MOST_TRIALS",
    "PARAMETERS",
    "SCHEDULER_KEYS",
    "SHIPPED",
    "BackboneInfo",
    "BudgetSpec",
    "Choice",
    "Condition",
    "ConfirmSpec",
    "DataSpec",
    "Document",
    "Domain",
    "Entry",
    "Fixed",
    "Goal",
    "MeltpointError",
    "Metric",
    "MetricSpec",
    "Parameter",
    "Point",
    "Problem",
    "Range",
    "Recipe",
    "Record",
    "RegisterSpec",
    "ResourcesSpec",
    "SchedulerSpec",
    "SearchSpec",
    "Space",
    "SpecError",
    "SplitSpec",
    "SweepSpec",
    "Value",
    "architectures_used",
    "assign_recipes",
    "count_recipes",
    "did_you_mean",
    "expected_recipes",
    "format_metric",
    "grid_points",
    "grid_size",
    "load_document",
    "load_spec",
    "map_side",
    "names_of_parts",
    "own_code_used",
    "own_metrics",
    "parse_space",
    "parse_spec",
    "read_spec_text",
    "recipes_drawn",
    "resolve_freeze_depth",
    "rungs_below",
    "sample",
    "shipped_document",
    "values_used",
    "varying_names",
    "weights_used",
]
