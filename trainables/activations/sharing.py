"""Whether activations are worth keeping: what computing, writing and reading them costs on this machine."""

from __future__ import annotations

import os
import tempfile
import time
import zlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

__all__ = [
    "Costs",
    "DiskSpeed",
    "PrefixMode",
    "SharingSettings",
    "choose_prefix_modes",
    "count_expected_uses",
    "measure_disk_speed",
]

PrefixMode = Literal["kept", "read", "computed"]

_PROBE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class SharingSettings:
    """What a trial is told of the trials around it, as plain values that travel.

    Args:
        folder: the cache of this node.
        limit: most bytes that it may take on disk; 0 keeps nothing.
        memory: most bytes of it that one worker holds in memory.
        trials: freeze depth -> how many trials of the sweep are expected with this one's backbone, weights,
            precision and augmentation.
        readers: freeze depth -> how many with this one's backbone, weights and precision; they see the same
            validation images.
        scope: tells what own code drew in this sweep from what it draws in others.
    """

    folder: str
    limit: int
    memory: int
    trials: Mapping[int, float] = field(default_factory=dict)
    readers: Mapping[int, float] = field(default_factory=dict)
    scope: str = ""


@dataclass(frozen=True, kw_only=True)
class DiskSpeed:
    """Seconds a byte, checksums included: written and read back, as far as the system's own cache lets one see."""

    write: float
    read: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds that one image's activations take: computed, kept (written), read."""

    compute: float
    keep: float
    read: float


def choose_prefix_modes(costs: Mapping[int, Costs], uses: Mapping[int, float]) -> dict[int, tuple[PrefixMode, str]]:
    """What is done with the activations at each boundary (freeze depth), expected to be used so often, and why.

    One pass through the frozen stages gives the activations at every boundary on its way, so that a boundary used once
    is worth keeping beside others: what is kept is what saves most together, less one pass to the deepest of it.

    `kept`: computed once, then read; `read`: used where they lie there already, but not written; `computed`: reading
    would take longer than computing them.
    """
    kept = _worth_keeping({depth: cost for depth, cost in costs.items() if cost.read < cost.compute}, uses)
    return {depth: _verdict(depth, costs[depth], uses, kept) for depth in costs}


def _worth_keeping(costs: Mapping[int, Costs], uses: Mapping[int, float]) -> set[int]:
    """Starting from all boundaries, leaves out what costs more than it saves, the worst first."""

    def saved(depths: Iterable[int]) -> float:
        chosen = [(costs[depth], uses[depth]) for depth in depths]
        gains = sum(used * (cost.compute - cost.read) - cost.keep for cost, used in chosen)
        return gains - max((cost.compute for cost, _ in chosen), default=0.0)

    kept = set(costs)
    while kept:
        worst = max(sorted(kept), key=lambda depth: saved(kept - {depth}))
        if saved(kept - {worst}) < saved(kept):
            break
        kept.remove(worst)
    return kept if saved(kept) > 0 else set()


def _verdict(depth: int, cost: Costs, uses: Mapping[int, float], kept: Set[int]) -> tuple[PrefixMode, str]:
    figures = (
        f"{cost.compute * 1e3:.2f} ms to compute, {cost.keep * 1e3:.2f} ms to keep, {cost.read * 1e3:.2f} ms to read"
    )
    if cost.read >= cost.compute:
        return "computed", f"an image takes {figures}"
    others = sum(used for other, used in uses.items() if other != depth)
    beside = f" and {others:.3g} behind other boundaries" if others else ""
    return "kept" if depth in kept else "read", f"an image takes {figures}, for about {uses[depth]:.3g} uses{beside}"


def count_expected_uses(trials: Mapping[int, float], depth: int, *, epochs: int, views: int) -> dict[int, float]:
    """How often each of an image's `views` different views is used, by boundary, over so many epochs.

    trials: freeze depth -> how many are expected at that boundary; at `depth` there is at least one.
    """
    counts = {**trials, depth: max(1.0, trials.get(depth, 0.0))}
    return {other: counts[other] * epochs / min(views, epochs) for other in sorted(counts)}


@cache
def measure_disk_speed(folder: Path) -> DiskSpeed:
    """Measured once a process with a few megabytes below `folder`. Raises OSError where that cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    content = os.urandom(_PROBE_BYTES)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        started = time.perf_counter()
        zlib.crc32(content)
        file.write(content)
        written = time.perf_counter()
        file.seek(0)
        zlib.crc32(file.read(_PROBE_BYTES))
        read = time.perf_counter()
    return DiskSpeed(write=(written - started) / _PROBE_BYTES, read=(read - written) / _PROBE_BYTES)
