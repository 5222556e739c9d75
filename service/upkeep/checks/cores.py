"""Cores that trials can use."""

from __future__ import annotations

import os
from collections.abc import Iterator

from service.clusters import cgroup_cores, usable_cores
from service.upkeep.checks.findings import Finding, Surroundings, warning

__all__ = ["check_cores"]


def check_cores(_surroundings: Surroundings) -> Iterator[Finding]:
    """Compare the cores that Ray counts with those that this process is bound to."""
    there, used = os.cpu_count() or 1, usable_cores()
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    text = f"{there}" if used == there else f"{used:g} of {there}: the container's quota is {cgroup_cores():g}"
    if bound < used:
        advice = f"set resources.cpu to {used / bound:g}, or start without taskset"
        yield warning("cores", f"{text}, but this process is bound to {bound}", advice)
    else:
        yield Finding(name="cores", text=text)
