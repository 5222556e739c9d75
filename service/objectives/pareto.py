"""The Pareto set: trials that no other trial beats in every wanted metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from service.objectives.objectives import Objective

__all__ = ["pareto_set"]

Key = TypeVar("Key")


def pareto_set(values: Mapping[Key, Sequence[float]], objectives: Sequence[Objective]) -> set[Key]:
    """Return the keys that no other key dominates (Ehrgott, Multicriteria Optimization, 2005, definition 2.1).

    A key dominates another if it is at least as good in every objective and better in at least one; equal keys are all
    in the set. A key with a value that is not a number is not in the set.

    values: by key, a value for each of `objectives`.
    """
    keys = {
        key: [-objective.goal.sign * value for objective, value in zip(objectives, row, strict=True)]
        for key, row in values.items()
        if all(math.isfinite(value) for value in row)
    }
    front: list[Key] = []
    for key in sorted(keys, key=lambda key: keys[key]):  # a key is dominated only by one that comes before it
        if not any(_dominates(keys[other], keys[key]) for other in front):
            front.append(key)
    return set(front)


def _dominates(first: Sequence[float], second: Sequence[float]) -> bool:
    """Return whether costs `first` are nowhere higher than `second`, and somewhere lower."""
    return first != second and all(cost <= other for cost, other in zip(first, second, strict=True))
