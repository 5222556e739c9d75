"""Memory of the machine or of its container."""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces.documents import format_size
from service.clusters import memory_available
from service.upkeep.checks.findings import Finding, Surroundings, warning

__all__ = ["check_memory"]

LEAST_MEMORY = 2 * 10**9
"""Free bytes below which there is a warning."""


def check_memory(_surroundings: Surroundings) -> Iterator[Finding]:
    """Warn if there is too little free memory for a trial."""
    free, total = memory_available()
    text = f"{format_size(free)} of {format_size(total)} free"
    if free < LEAST_MEMORY:
        yield warning("memory", text, "close other programs, or raise resources.cpu so that fewer trials run at once")
    else:
        yield Finding(name="memory", text=text)
