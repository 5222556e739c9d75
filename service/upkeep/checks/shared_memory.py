"""Shared memory, in which Ray keeps its objects."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from search_spaces.documents import format_size
from service.upkeep.checks.findings import Finding, Surroundings, warning

__all__ = ["check_shared_memory"]


def check_shared_memory(_surroundings: Surroundings) -> Iterator[Finding]:
    """Warn if /dev/shm is smaller than Ray's object store; yield nothing if there is no /dev/shm."""
    place, needed = Path("/dev/shm"), 128 * 1024 * 1024
    if not place.exists():
        return
    free = shutil.disk_usage(place).free
    if free < needed:
        advice = "start the container with --shm-size=1g: Ray keeps its objects there"
        yield warning("shared memory", f"{format_size(free)} free in {place}", advice)
    else:
        yield Finding(name="shared memory", text=f"{format_size(free)} free in {place}")
