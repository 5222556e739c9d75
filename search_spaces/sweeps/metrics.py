"""Metrics that every trial reports, their goals, and their names on each split."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

__all__ = [
    "COSTS",
    "COST_INFOS",
    "LATENCY",
    "METRICS",
    "METRIC_INFOS",
    "PARAMETER_COUNT",
    "Goal",
    "Metric",
    "MetricInfo",
]

LATENCY: Final = "latency_ms"
PARAMETER_COUNT: Final = "parameters"


class Goal(StrEnum):
    """The direction in which a metric is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"

    @property
    def sign(self) -> int:
        """1 if a higher value is better, -1 if a lower one is."""
        return 1 if self is Goal.MAXIMIZE else -1

    @property
    def better_word(self) -> str:
        """The word for a better value: `higher` or `lower`."""
        return "higher" if self is Goal.MAXIMIZE else "lower"

    def is_better(self, value: float, other: float | None) -> bool:
        """Return whether `value` is strictly better than `other`.

        NaN is never better than any value; every number is better than NaN and than None.
        """
        if math.isnan(value):
            return False
        return other is None or math.isnan(other) or self.sign * value > self.sign * other

    def best(self, values: Iterable[float]) -> float:
        """Return the best of `values`; NaN if none of them is a number."""
        best = math.nan
        for value in values:
            if self.is_better(value, best):
                best = value
        return best

    def gain(self, value: float, other: float) -> float:
        """Return by how much `value` is better than `other`; negative if it is worse."""
        return self.sign * (value - other)

    def sort_key(self, value: float) -> float:
        """Return a key by which `sorted` puts better values first."""
        return -self.sign * value


@dataclass(frozen=True)
class Metric:
    """A metric by its published name, such as `val/accuracy`: a split and a measure on it."""

    name: str

    @classmethod
    def of_validation(cls, measure: str) -> Metric:
        """Return the metric for `measure` on the validation images; its published name is accepted too."""
        return cls(measure if measure.startswith("val/") else f"val/{measure}")

    @property
    def split(self) -> str:
        """The split, such as `val`."""
        return self.name.partition("/")[0]

    @property
    def measure(self) -> str:
        """The name without the split, such as `accuracy`."""
        return self.name.partition("/")[2]

    def on(self, split: str) -> str:
        """Return the published name of the same measure on another split, or under `best`."""
        return f"{split}/{self.measure}"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """A metric: its goal, what it measures, its range in words and its source.

    highest: the largest value that it can have; None if there is none. The smallest is always 0.
    """

    goal: Goal
    description: str
    range: str
    paper: str
    highest: float | None = 1.0


METRIC_INFOS: Final[Mapping[str, MetricInfo]] = MappingProxyType(
    {
        "val/loss": MetricInfo(
            goal=Goal.MINIMIZE,
            description="cross-entropy of the predicted probabilities, in nats per image, without label smoothing",
            range="0 and more",
            highest=None,
            paper="Good 1952, https://doi.org/10.1111/j.2517-6161.1952.tb00104.x",
        ),
        "val/accuracy": MetricInfo(
            goal=Goal.MAXIMIZE,
            description="share of images whose most probable class is the correct class",
            range="0 to 1",
            paper="",
        ),
        "val/balanced_accuracy": MetricInfo(
            goal=Goal.MAXIMIZE,
            description="mean recall over the classes: small classes count as much as large classes",
            range="0 to 1",
            paper="Brodersen et al. 2010, https://doi.org/10.1109/ICPR.2010.764",
        ),
        "val/macro_f1": MetricInfo(
            goal=Goal.MAXIMIZE,
            description="mean over the classes of F1, the harmonic mean of precision and recall",
            range="0 to 1",
            paper="van Rijsbergen 1979, Information Retrieval, chapter 7",
        ),
        "val/auroc": MetricInfo(
            goal=Goal.MAXIMIZE,
            description="area under the ROC curve; with more than two classes the mean of one against the rest",
            range="0 to 1, 0.5 is chance",
            paper="Hanley & McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747",
        ),
        "val/ece": MetricInfo(
            goal=Goal.MINIMIZE,
            description="expected calibration error: distance of confidence from accuracy, over 15 bins of confidence",
            range="0 to 1",
            paper="Guo et al. 2017, https://arxiv.org/abs/1706.04599",
        ),
    }
)
"""Every metric that a sweep can optimise."""

METRICS: Final[Mapping[str, Goal]] = MappingProxyType({name: info.goal for name, info in METRIC_INFOS.items()})
"""The goal of each metric, by name."""

COST_INFOS: Final[Mapping[str, MetricInfo]] = MappingProxyType(
    {
        LATENCY: MetricInfo(
            goal=Goal.MINIMIZE,
            description="milliseconds from one image to its probabilities: median of repeats, exported model, on the "
            "CPU of the machine that drives the sweep, before the first trial",
            range="> 0",
            highest=None,
            paper="",
        ),
        PARAMETER_COUNT: MetricInfo(
            goal=Goal.MINIMIZE,
            description="number of weights and biases of the model, its head included",
            range="> 0",
            highest=None,
            paper="",
        ),
    }
)
"""The costs of a model, which depend on its recipe and not on its training."""

COSTS: Final[Mapping[str, Goal]] = MappingProxyType({name: info.goal for name, info in COST_INFOS.items()})
"""The goal of each cost, by name."""
