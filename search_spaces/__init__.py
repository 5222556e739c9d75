"""What may be chosen: recipes, spaces over them, and the sweep files that name both."""

from search_spaces.backbones import BACKBONES, BackboneInfo, map_side, resolve_freeze_depth
from search_spaces.documents import Document, load_document
from search_spaces.domains import Choice, Domain, Fixed, Range, Value
from search_spaces.errors import MISSING, MeltpointError, Problem, SpecError, did_you_mean
from search_spaces.grids import grid_points, grid_size
from search_spaces.metrics import METRICS
from search_spaces.recipe import Recipe
from search_spaces.records import GROUPS, Record
from search_spaces.schedulers import rungs_below
from search_spaces.sections import (
    SCHEDULER_KEYS,
    BudgetSpec,
    DataSpec,
    MetricSpec,
    RegisterSpec,
    ResourcesSpec,
    SchedulerSpec,
    SearchSpec,
    SplitSpec,
)
from search_spaces.shipped import SHIPPED, shipped_document
from search_spaces.space import Condition, Entry, Point, Space, sample
from search_spaces.space_parser import parse_space
from search_spaces.spec import SweepSpec, load_spec, parse_spec
from search_spaces.surveys import expected_recipes, recipes_drawn, values_used, varying_names, weights_used
from search_spaces.vocabulary import PARAMETERS, Parameter

__all__ = [
    "BACKBONES",
    "GROUPS",
    "METRICS",
    "MISSING",
    "PARAMETERS",
    "SCHEDULER_KEYS",
    "SHIPPED",
    "BackboneInfo",
    "BudgetSpec",
    "Choice",
    "Condition",
    "DataSpec",
    "Document",
    "Domain",
    "Entry",
    "Fixed",
    "MeltpointError",
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
    "did_you_mean",
    "expected_recipes",
    "grid_points",
    "grid_size",
    "load_document",
    "load_spec",
    "map_side",
    "parse_space",
    "parse_spec",
    "recipes_drawn",
    "resolve_freeze_depth",
    "rungs_below",
    "sample",
    "shipped_document",
    "values_used",
    "varying_names",
    "weights_used",
]
