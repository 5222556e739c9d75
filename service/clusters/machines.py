"""The cores, memory and GPUs of this machine, read without Ray."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from trainables.devices import Gpu, find_gpus

__all__ = ["Machine", "cgroup_cores", "memory_available", "usable_cores", "workers_gpus"]

_CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Cores and GPUs as Ray would count them here. gpus_seen: how many torch can use, listed in `gpus` or not."""

    cores: float
    gpus_seen: int
    gpus: tuple[Gpu, ...]

    @classmethod
    def here(cls) -> Machine:
        """This machine; loads torch."""
        import torch

        return cls(cores=usable_cores(), gpus_seen=torch.cuda.device_count(), gpus=find_gpus())


def workers_gpus() -> tuple[Gpu, ...]:
    """The GPUs that trials will run on; none known where Ray runs on other machines."""
    return () if os.environ.get("RAY_ADDRESS") else find_gpus()


def usable_cores() -> float:
    """The cores, or a container's share of them; like Ray, whatever cores this process is bound to."""
    cores = os.cpu_count() or 1
    return min(cores, max(1, int(cgroup_cores() or cores)))


def cgroup_cores() -> float | None:
    """The cores that a container's quota comes to; None where there is no quota."""
    try:
        quota, period = _CGROUP_CPU.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return None


def memory_available() -> tuple[int, int]:
    """Bytes of memory that are free for the taking, and in all, of the machine or of the container."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = total
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        limit = int(_CGROUP_MEMORY.read_text())
    except (OSError, ValueError):
        return free, total
    return min(free, limit), min(total, limit)
