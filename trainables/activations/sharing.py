"""The choice of which activations are cached, from what computing, writing and reading them costs here."""

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

from trainables.stores import Capacity

__all__ = [
    "Costs",
    "DiskSpeed",
    "PrefixMode",
    "SharingSettings",
    "choose_prefix_modes",
    "count_expected_uses",
    "measure_disk_speed",
    "usual_cache_limit",
]

PrefixMode = Literal["kept", "read", "computed"]
"""The use of the cache at one boundary.

`kept`: activations are computed once, written, then read. `read`: activations that others wrote are read, none are
written. `computed`: activations are computed each time, since reading them would take longer.
"""

_MOST_BYTES = 20_000_000_000
_FREE_SHARE = 0.25
_PROBE_BYTES = 4 * 1024 * 1024
_PROBE_ROUNDS = 3
_ENOUGH_PROBE_SECONDS = 0.2
"""Seconds of rounds after which there is no further one: a slow disk is not measured three times."""


@dataclass(frozen=True, kw_only=True)
class SharingSettings:
    """The cache of a node, and how much other trials will use it. Plain values that can be sent to a worker.

    Args:
        folder: the node's cache.
        limit: bytes that the cache may take on disk; 0 turns it off.
        memory: bytes of the cache that one worker may keep in memory.
        trials: freeze depth -> expected number of the sweep's trials with the trial's own backbone, weights,
            precision and augmentation.
        readers: freeze depth -> expected number with the trial's own backbone, weights and precision. These trials
            see the same validation images.
        scope: name of the sweep. It keeps views drawn by own code apart from those of other sweeps.
        is_usual: whether `limit` is the usual one of the machine that made the settings: other nodes take their own.
    """

    folder: str
    limit: int
    memory: int
    trials: Mapping[int, float] = field(default_factory=dict)
    readers: Mapping[int, float] = field(default_factory=dict)
    scope: str = ""
    is_usual: bool = False


@dataclass(frozen=True, kw_only=True)
class DiskSpeed:
    """Seconds per byte of writing and of reading, checksums included. The system's own page cache may hide the disk."""

    write: float
    read: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds that one image's activations take to compute, to keep (write) and to read."""

    compute: float
    keep: float
    read: float


def usual_cache_limit(folder: Path) -> int:
    """Return the bytes that a cache in `folder` may take by default: a quarter of the free disk, at most 20 GB."""
    return min(_MOST_BYTES, int(Capacity.measure(folder).free_disk * _FREE_SHARE))


def choose_prefix_modes(costs: Mapping[int, Costs], uses: Mapping[int, float]) -> dict[int, tuple[PrefixMode, str]]:
    """Choose the mode of each boundary, with the reason.

    One pass through the frozen stages gives the activations at every boundary on its way. A boundary that is used once
    may therefore be worth keeping together with others. The kept boundaries are those that together save most time,
    less one pass to the deepest of them.

    Args:
        costs: freeze depth -> costs of one image at that boundary.
        uses: freeze depth -> expected number of uses of one image's activations.
    """
    kept = _worth_keeping({depth: cost for depth, cost in costs.items() if cost.read < cost.compute}, uses)
    return {depth: _mode(depth, costs[depth], uses, kept) for depth in costs}


def _worth_keeping(costs: Mapping[int, Costs], uses: Mapping[int, float]) -> set[int]:
    """Start from all boundaries, and leave out those that cost more than they save, the worst first."""

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


def _mode(depth: int, cost: Costs, uses: Mapping[int, float], kept: Set[int]) -> tuple[PrefixMode, str]:
    figures = (
        f"{cost.compute * 1e3:.2f} ms to compute, {cost.keep * 1e3:.2f} ms to keep, {cost.read * 1e3:.2f} ms to read"
    )
    if cost.read >= cost.compute:
        return "computed", f"an image takes {figures}"
    others = sum(used for other, used in uses.items() if other != depth)
    beside = f" and {others:.3g} behind other boundaries" if others else ""
    return "kept" if depth in kept else "read", f"an image takes {figures}, for about {uses[depth]:.3g} uses{beside}"


def count_expected_uses(trials: Mapping[int, float], depth: int, *, epochs: int, views: int) -> dict[int, float]:
    """Return, for each boundary, how often each of an image's views is expected to be used.

    Args:
        trials: freeze depth -> expected number of trials at that boundary; at `depth` at least 1 is counted.
        depth: freeze depth of the trial that asks.
        epochs: epochs that each trial trains.
        views: different views of one image over all epochs.
    """
    counts = {**trials, depth: max(1.0, trials.get(depth, 0.0))}
    return {other: counts[other] * epochs / min(views, epochs) for other in sorted(counts)}


@cache
def measure_disk_speed(folder: Path) -> DiskSpeed:
    """Measure with 4 MiB in `folder`, once per process: the quickest of a few rounds, since others may use the machine.

    Raises OSError if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = os.urandom(_PROBE_BYTES)
    rounds: list[tuple[float, float]] = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        begun = time.perf_counter()
        while not rounds or (len(rounds) < _PROBE_ROUNDS and time.perf_counter() - begun < _ENOUGH_PROBE_SECONDS):
            file.seek(0)
            started = time.perf_counter()
            zlib.crc32(content)
            file.write(content)
            written = time.perf_counter()
            file.seek(0)
            again = time.perf_counter()
            zlib.crc32(file.read(_PROBE_BYTES))
            rounds.append((written - started, time.perf_counter() - again))
    write, read = (min(seconds) for seconds in zip(*rounds, strict=True))
    return DiskSpeed(write=write / _PROBE_BYTES, read=read / _PROBE_BYTES)
