"""The metrics that every trial reports on the validation images, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

__all__ = ["METRICS", "METRIC_INFOS", "Goal", "MetricInfo"]

Goal = Literal["maximize", "minimize"]


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """One metric: what it measures, its range, which way is better, and its source."""

    goal: Goal
    description: str
    range: str
    paper: str


METRIC_INFOS: Final[Mapping[str, MetricInfo]] = MappingProxyType(
    {
        "val/loss": MetricInfo(
            goal="minimize",
            description="cross-entropy of the predicted probabilities, in nats per image, without label smoothing",
            range="0 and more",
            paper="Good 1952, https://doi.org/10.1111/j.2517-6161.1952.tb00104.x",
        ),
        "val/accuracy": MetricInfo(
            goal="maximize",
            description="share of images whose most probable class is the right one",
            range="0 to 1",
            paper="",
        ),
        "val/balanced_accuracy": MetricInfo(
            goal="maximize",
            description="mean recall over the classes: small classes count as much as large ones",
            range="0 to 1",
            paper="Brodersen et al. 2010, https://doi.org/10.1109/ICPR.2010.764",
        ),
        "val/macro_f1": MetricInfo(
            goal="maximize",
            description="mean over the classes of F1, the harmonic mean of precision and recall",
            range="0 to 1",
            paper="van Rijsbergen 1979, Information Retrieval, chapter 7",
        ),
        "val/auroc": MetricInfo(
            goal="maximize",
            description="area under the ROC curve; with more than two classes the mean of one against the rest",
            range="0 to 1, 0.5 is chance",
            paper="Hanley & McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747",
        ),
        "val/ece": MetricInfo(
            goal="minimize",
            description="expected calibration error: how far confidence is from accuracy, over 15 bins of confidence",
            range="0 to 1",
            paper="Guo et al. 2017, https://arxiv.org/abs/1706.04599",
        ),
    }
)
"""Every metric that a sweep can optimise."""

METRICS: Final[Mapping[str, Goal]] = MappingProxyType({name: info.goal for name, info in METRIC_INFOS.items()})
"""Name and which way is better."""
