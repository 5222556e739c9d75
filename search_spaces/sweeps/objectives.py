"""The section `metric`: one metric, or a list of metrics and costs with goals and limits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from search_spaces.documents import join_path, problems_from
from search_spaces.errors import Problem, one_of_rule
from search_spaces.extensions import is_own
from search_spaces.sweeps.metrics import COST_INFOS, COSTS, METRIC_INFOS, METRICS, PARAMETER_COUNT, Goal, Metric
from search_spaces.sweeps.sections import Section

__all__ = ["MOST_METRICS", "MetricSpec", "format_metric", "parse_count", "read_metrics"]

MOST_METRICS: Final = 10

_KNOWN: Final[Mapping[str, Goal]] = {**METRICS, **COSTS}
_COUNT: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kKMG]?)")
_POWERS: Final = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}

_Limit = Annotated[str, Field(pattern=r"^\d{1,15}(\.\d{1,6})?\s*[kKMG]?$", examples=["5M"])] | float | None


class MetricSpec(Section):
    """The metric that a sweep optimises, or a list of metrics and costs of which the first is optimised.

    `goal` follows from a known name; a metric of your own needs it, or a limit. A further entry with a limit (`max` or
    `min`) and without `goal` is only a limit.
    """

    name: Annotated[
        str, Field(description="name of the metric or cost", json_schema_extra={"examples": list(_KNOWN)})
    ] = "val/accuracy"
    goal: Annotated[
        Goal,
        Field(validate_default=True, strict=False, description="direction in which values are better"),
        WithJsonSchema({"enum": [goal.value for goal in Goal], "type": "string"}),
    ] = Goal.MAXIMIZE
    max: Annotated[float | None, Field(description="largest value that is allowed, for a metric to minimize")] = None
    min: Annotated[float | None, Field(description="smallest value that is allowed, for a metric to maximize")] = None

    _only_limits: bool = PrivateAttr(default=False)

    @property
    def is_objective(self) -> bool:
        """True if better values are wanted, not only values within the limit."""
        return not self._only_limits

    @property
    def limit(self) -> float | None:
        """The limit, `max` or `min`; None if there is none."""
        return self.min if self.goal is Goal.MAXIMIZE else self.max

    @property
    def is_cost(self) -> bool:
        """True for a cost of the model, which needs no training."""
        return self.name in COSTS

    @model_validator(mode="wrap")
    @classmethod
    def _goal_of_the_metric(cls, values: Any, handler: ModelWrapValidatorHandler[MetricSpec]) -> MetricSpec:
        if not isinstance(values, dict):
            return handler(values)
        has_goal = "goal" in values
        spec = handler(values if has_goal else values | {"goal": _implied_goal(values)})
        spec._only_limits = not has_goal and spec.limit is not None
        return spec

    @field_validator("name")
    @classmethod
    def _known_or_own(cls, name: str) -> str:
        metric = Metric.of_validation(name)
        if name in COSTS:
            return name
        if name not in METRICS and not is_own(metric.measure, "metric"):
            raise ValueError(one_of_rule(name, _KNOWN))
        return metric.name

    @field_validator("goal")
    @classmethod
    def _agrees_with_the_metric(cls, goal: Goal, info: ValidationInfo) -> Goal:
        name = info.data.get("name", "")
        if name in _KNOWN and goal != _KNOWN[name]:
            raise ValueError(f"must be {_KNOWN[name]}: {_KNOWN[name].better_word} is better for {name}")
        return goal

    @field_validator("max", "min", mode="before", json_schema_input_type=_Limit)
    @classmethod
    def _within_the_range(cls, limit: Any, info: ValidationInfo) -> float | None:
        if limit is None or "name" not in info.data:
            return None
        name, goal = info.data["name"], info.data.get("goal")
        number = parse_count(limit) if name == PARAMETER_COUNT else _finite(limit)
        if goal is not None and info.field_name != _limit_key(goal):
            raise ValueError(
                f"is not a limit for {name}, of which {goal.better_word} is better; give {_limit_key(goal)}"
            )
        known = METRIC_INFOS.get(name) or COST_INFOS.get(name)
        if known is not None and not (0 <= number <= (known.highest or math.inf)):
            raise ValueError(f"must lie in the range of {name}: {known.range}")
        if name in COSTS and number == 0:
            raise ValueError("must be > 0")
        return number


def read_metrics(raw: object) -> tuple[tuple[MetricSpec, ...], list[Problem]]:
    """Return the metrics of a document's `metric`, the one to optimise first, and its problems."""
    entries = raw if isinstance(raw, list) else [raw]
    if isinstance(raw, list) and not 0 < len(raw) <= MOST_METRICS:
        return (), [Problem(path="metric", rule=f"must list 1 to {MOST_METRICS} metrics", value=raw)]
    problems: list[Problem] = []
    metrics: dict[str, MetricSpec] = {}
    for number, entry in enumerate(entries):
        path = join_path("metric", number) if isinstance(raw, list) else "metric"
        try:
            metric = MetricSpec.model_validate(entry)
        except ValidationError as error:
            problems += problems_from(error, path, lambda _: MetricSpec.model_fields)
            continue
        name_path = join_path(path, "name")
        if metric.name in metrics:
            problems.append(Problem(path=name_path, rule="is listed twice", value=metric.name))
        elif number == 0 and metric.is_cost:
            rule = f"must come after a metric to optimise, because a training does not change it: {', '.join(METRICS)}"
            problems.append(Problem(path=name_path, rule=rule, value=metric.name))
        elif number == 0 and not metric.is_objective:
            metric._only_limits = False  # the first metric is always optimised
        metrics[metric.name] = metric
    return tuple(metrics.values()), problems


def parse_count(text: object) -> float:
    """Return the number in `5M`, `300k`, `1.5G` (powers of 1000), or a number as it is.

    Raises:
        ValueError: `text` has another form.
    """
    if isinstance(text, str):
        match = _COUNT.fullmatch(text.strip())
        if match is None:
            raise ValueError("must be a number such as 5M, 300k or 4_700_000")
        return float(match[1]) * _POWERS[match[2]]
    return _finite(text)


def format_metric(name: str, value: float) -> str:
    """Return a value as people read it: `4.65M` parameters, `12.3` milliseconds, four decimals of other metrics."""
    if name == PARAMETER_COUNT:
        for letter, power in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
            if value >= power:
                return f"{value / power:.3g}{letter}"
        return f"{value:g}"
    return f"{value:.3g}" if name in COSTS else f"{value:.4f}"


def _implied_goal(values: Mapping[str, Any]) -> Goal:
    """Return the goal of a known metric, or that which the limit of an own metric implies."""
    name = values.get("name", "val/accuracy")
    if not isinstance(name, str) or name in _KNOWN or not is_own(Metric.of_validation(name).measure, "metric"):
        return _KNOWN.get(name, Goal.MAXIMIZE) if isinstance(name, str) else Goal.MAXIMIZE
    has_max, has_min = values.get("max") is not None, values.get("min") is not None
    if has_max == has_min:
        raise ValueError("goal must say whether to maximize or minimize a metric of your own")
    return Goal.MINIMIZE if has_max else Goal.MAXIMIZE


def _limit_key(goal: Goal) -> str:
    return "min" if goal is Goal.MAXIMIZE else "max"


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return float(value)
