"""The choice between keeping decoded images and streaming them, made before anything is decoded."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from search_spaces.documents import format_size

__all__ = ["Capacity", "StoreMode", "StorePlan", "plan_store"]

StoreMode = Literal["decoded", "streamed"]

_FREE_SHARE = 0.5
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Bytes that this machine can give to images.

    Attributes:
        free_disk: bytes free on the disk of the prepared images.
        memory: bytes of memory in total, used or not.
    """

    free_disk: int
    memory: int

    @classmethod
    def measure(cls, folder: Path) -> Capacity:
        """Return what this machine has now, for images in `folder`, which need not exist yet."""
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        return cls(free_disk=shutil.disk_usage(existing).free, memory=_total_memory())


@dataclass(frozen=True, kw_only=True)
class StorePlan:
    """A choice between keeping and streaming.

    Attributes:
        mode: `decoded` keeps decoded images on disk, `streamed` decodes them at each reading.
        decoded_bytes: bytes that all images take once decoded.
        reason: one sentence with the numbers that decided.
    """

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
    """Choose to keep decoded images if they fit on the disk and in memory, else to decode them at each reading.

    The choice is a pure function of the arguments. Both modes give the same pixels, hence the same training.

    Args:
        images: number of images.
        image_size: height and width of a decoded image in pixels.
        capacity: what this machine has.
        disk: `data.disk` in bytes; by default half of the free disk.
        memory: `data.memory` in bytes; by default all memory.
        resizings: number of copies kept of each image, one for each interpolation that the backbones want.
    """
    needed = images * image_size * image_size * 3 * resizings
    resized = "" if resizings == 1 else f", resized in {resizings} ways,"
    size = f"{images:,} images at {image_size} px{resized} take {format_size(needed)} decoded"
    budgets = (_disk_budget(capacity, disk), _memory_budget(capacity, memory))
    for limit, name in budgets:
        if needed > limit:
            return StorePlan(mode="streamed", decoded_bytes=needed, reason=f"{size}, more than {name}")
    within = " and ".join(name for _, name in budgets)
    return StorePlan(mode="decoded", decoded_bytes=needed, reason=f"{size}, within {within}")


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


def _total_memory() -> int:
    """Return the bytes of this machine's memory, or of its container's share, which psutil does not see."""
    physical = psutil.virtual_memory().total
    try:
        return min(physical, int(_CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):
        return physical
