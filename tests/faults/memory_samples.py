"""Samples of what the processes of a service take, and the growth in them over hours."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations

import psutil

MIB = 2**20

QUANTITIES = ("memory", "private", "files", "threads", "connections")
"""memory: resident MiB, with pages that forked processes share. private: MiB that only the process has."""

SETTLED_SHARE = 0.8
"""Share of the time, at the end, in which nothing may grow: before it, caches fill."""

LEAST_NOISE = 0.02
"""Noise that is always allowed, as a share of the level."""

Sample = Mapping[str, Mapping[str, float]]
"""For each role of process, its number of processes and the sum of each quantity."""


@dataclass(frozen=True)
class Growth:
    """Change of one quantity of a role over the settled time.

    level: the median. drift: Theil-Sen slope times the time. noise: width of the middle 80 % of what the slope leaves.
    """

    level: float
    drift: float
    noise: float

    @property
    def is_flat(self) -> bool:
        """Tell if the drift is within the noise; a drift downwards is never a leak."""
        return self.drift <= max(self.noise, LEAST_NOISE * self.level)


def take_sample(processes: Iterable[psutil.Process]) -> dict[str, dict[str, float]]:
    """Sum up what the processes take now, by role; a process that has ended, or does meanwhile, is left out."""
    sums: dict[str, dict[str, float]] = {}
    for process in processes:
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            role, values = role_of(process), _values(process)
            sums.setdefault(role, dict.fromkeys(("processes", *QUANTITIES), 0.0))
            for name, value in values.items():
                sums[role][name] += value
    return sums


def role_of(process: psutil.Process) -> str:
    """Return the task of a service's process, by its name or else its command."""
    name = process.name()
    if name.startswith("sweep:"):
        return {"lanes": "pool"}.get(name.removeprefix("sweep:"), name.removeprefix("sweep:"))
    command = " ".join(process.cmdline())
    if "ray::" in command:
        return "lanes" if "Trainable" in command else "ray workers"
    marks = {
        "trainables.processes": "resident",
        "service.child_processes": "guards",
        "service.drivers": "supervisor",
        "mlflow": "mlflow",
        " serve": "api",
    }
    return next((role for mark, role in marks.items() if mark in command), "ray")


def _values(process: psutil.Process) -> dict[str, float]:
    with process.oneshot():
        memory = process.memory_full_info()
        return {
            "processes": 1.0,
            "memory": memory.rss / MIB,
            "private": memory.uss / MIB,
            "files": float(process.num_fds()),
            "threads": float(process.num_threads()),
            "connections": float(len(process.net_connections("all"))),
        }


def growths(times: Sequence[float], samples: Sequence[Sample]) -> dict[str, dict[str, Growth]]:
    """Return the growth of each role and quantity: a mean over the role's processes, so that their number may vary.

    times: of the samples, in seconds. A role with fewer than ten samples in the settled time is left out.
    """
    series: defaultdict[str, list[tuple[float, dict[str, float]]]] = defaultdict(list)
    settled_at = times[-1] - SETTLED_SHARE * (times[-1] - times[0])
    for time, sample in zip(times, samples, strict=True):
        if time >= settled_at:
            for role, sums in sample.items():
                means = {name: sums[name] / sums["processes"] for name in QUANTITIES}
                series[role].append((time, means))
    return {
        role: {name: _growth([(time, means[name]) for time, means in points]) for name in QUANTITIES}
        for role, points in sorted(series.items())
        if len(points) >= 10
    }


def _growth(points: Sequence[tuple[float, float]]) -> Growth:
    """Fit a line by the median of the slopes of all pairs (Theil 1950; Sen, JASA 63, 1968)."""
    slope = statistics.median((later[1] - first[1]) / (later[0] - first[0]) for first, later in combinations(points, 2))
    left = [value - slope * time for time, value in points]
    deciles = statistics.quantiles(left, n=10)
    return Growth(
        level=statistics.median(value for _, value in points),
        drift=slope * (points[-1][0] - points[0][0]),
        noise=deciles[-1] - deciles[0],
    )
