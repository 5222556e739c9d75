"""The cores and GPUs of the Ray cluster that this process has joined."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import ray

__all__ = ["await_resources"]

PATIENCE_SECONDS: Final = 5.0
"""Time in which a node that has just started tells the cluster what it has."""

_LOOK_SECONDS: Final = 0.05


def await_resources(
    read: Callable[[], Mapping[str, float]] = ray.cluster_resources,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[float, float]:
    """Return the number of cores and of GPUs as soon as there are cores, or after 5 s.

    A node registers before the cluster counts its resources: right after Ray's start it may know of none.

    read: returns Ray's resources by name. clock: returns monotonic seconds. sleep: waits some seconds.
    """
    deadline = clock() + PATIENCE_SECONDS
    while "CPU" not in (resources := read()) and clock() < deadline:
        sleep(_LOOK_SECONDS)
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)
