"""Whether decoded images are kept or streamed: a decision that can be shown before anything is decoded."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from search_spaces.documents import format_size

__all__ = ["Capacity", "StoreMode", "StorePlan", "plan_store"]

StoreMode = Literal["decoded", "streamed"]

_FREE_SHARE = 0.5
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What there is to spend, in bytes: free disk where prepared images lie, and memory in all."""

    free_disk: int
    memory: int

    @classmethod
    def measure(cls, folder: Path) -> Capacity:
        """Return what this machine has now. `folder` may be yet to be made."""
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        return cls(free_disk=shutil.disk_usage(there).free, memory=_memory())


@dataclass(frozen=True, kw_only=True)
class StorePlan:
    """What is done with decoded images, how many bytes they would take, and why: a sentence with its figures."""

    mode: StoreMode
    decoded_bytes: int
    reason: str


def plan_store(
    *,
    images: int,
    image_size: int,
    capacity: Capacity,
    disk: int | None = None,
    memory: int | None = None,
    resizings: int = 1,
) -> StorePlan:
    """Decoded images are kept where they fit on the disk and in memory, else decoded anew at each reading.

    resizings: in how many ways each image is resized, and kept, for backbones that differ in it.
    disk, memory: data.disk and data.memory in bytes; without them, half of the free disk and all memory.
    A pure function of its arguments. Both modes give the same pixels, hence the same training.
    """
    needed = images * image_size * image_size * 3 * resizings
    resized = "" if resizings == 1 else f", resized in {resizings} ways,"
    what = f"{images:,} images at {image_size} px{resized} take {format_size(needed)} decoded"
    budgets = (_disk_budget(capacity, disk), _memory_budget(capacity, memory))
    for limit, name in budgets:
        if needed > limit:
            return StorePlan(mode="streamed", decoded_bytes=needed, reason=f"{what}, more than {name}")
    within = " and ".join(name for _, name in budgets)
    return StorePlan(mode="decoded", decoded_bytes=needed, reason=f"{what}, within {within}")


def _disk_budget(capacity: Capacity, disk: int | None) -> tuple[int, str]:
    free = format_size(capacity.free_disk)
    if disk is None:
        half = int(capacity.free_disk * _FREE_SHARE)
        return half, f"half of the {free} of free disk"
    if disk > capacity.free_disk:
        return capacity.free_disk, f"the {free} of free disk (data.disk: {format_size(disk)})"
    return disk, f"data.disk ({format_size(disk)})"


def _memory_budget(capacity: Capacity, memory: int | None) -> tuple[int, str]:
    if memory is None:
        return capacity.memory, f"the {format_size(capacity.memory)} of memory"
    return memory, f"data.memory ({format_size(memory)})"


def _memory() -> int:
    """Bytes of this machine's memory, or of the container's share of it."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(physical, int(_CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):
        return physical
