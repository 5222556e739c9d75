"""Scores of registered versions: what decides whether a new candidate is worse than the present one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from search_spaces import Goal
from service.ledgers import Sweep, Trial

__all__ = ["VersionScore"]

_METRIC, _VALUE, _IMAGES = "meltpoint.metric", "meltpoint.value", "meltpoint.images"


@dataclass(frozen=True, kw_only=True)
class VersionScore:
    """The best value of a trial, and what it was read on.

    metric: such as `val/accuracy`. images: digests of the metric's split, one for each way of resizing; they say which
    images it has, in pixels, and their classes.
    """

    metric: str
    value: float
    images: frozenset[str]

    @classmethod
    def from_records(cls, sweep: Sweep, trial: Trial) -> Self | None:
        """Return the score of a trial; None if it has no value, or its sweep's images are unknown."""
        split = sweep.metric.partition("/")[0]
        resized: Mapping[str, Mapping[str, Mapping[str, Mapping[str, object]]]] = sweep.data.get("resized", {})
        digests = (each["splits"].get(split, {}).get("digest") for each in resized.values())
        images = frozenset(str(digest) for digest in digests if digest)
        if trial.best_value is None or not images:
            return None
        return cls(metric=sweep.metric, value=trial.best_value, images=images)

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Self | None:
        """Return the score that a version's tags tell; None if they tell none."""
        try:
            return cls(metric=tags[_METRIC], value=float(tags[_VALUE]), images=frozenset(tags[_IMAGES].split()))
        except (KeyError, ValueError):
            return None

    def as_tags(self) -> dict[str, str]:
        """Return the tags of a version."""
        return {_METRIC: self.metric, _VALUE: repr(self.value), _IMAGES: " ".join(sorted(self.images))}

    def is_worse_than(self, other: VersionScore, goal: Goal) -> bool:
        """Return whether the other value is better, and both are of the same metric on the same images."""
        comparable = self.metric == other.metric and bool(self.images & other.images)
        return comparable and goal.is_better(other.value, self.value)
