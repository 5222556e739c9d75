"""The cores, memory and GPUs of this machine, read without Ray."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from trainables.devices import Gpu, find_gpus

__all__ = ["Machine", "cgroup_cores", "memory_available", "usable_cores", "workers_gpus"]

_CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Cores and GPUs of this machine, as Ray counts them.

    gpus_seen: the number of GPUs that torch can use, listed in `gpus` or not.
    """

    cores: float
    gpus_seen: int
    gpus: tuple[Gpu, ...]

    @classmethod
    def here(cls) -> Machine:
        """Return this machine as it is now; loads torch."""
        import torch

        return cls(cores=usable_cores(), gpus_seen=torch.cuda.device_count(), gpus=find_gpus())


def workers_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that trials will run on; none if Ray runs on other machines, whose GPUs are not known."""
    return () if os.environ.get("RAY_ADDRESS") else find_gpus()


def usable_cores() -> float:
    """Return the cores of the machine, or the container's share of them.

    A binding of this process to some cores does not count, as in Ray.
    """
    cores = os.cpu_count() or 1
    return min(cores, max(1, int(cgroup_cores() or cores)))


def cgroup_cores() -> float | None:
    """Return the container's quota in cores; None if there is no quota."""
    try:
        quota, period = _CGROUP_CPU.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return None


def memory_available() -> tuple[int, int]:
    """Return the available and the total bytes of memory, of the machine or of the container if that has less."""
    memory = psutil.virtual_memory()
    try:
        limit = int(_CGROUP_MEMORY.read_text())  # psutil does not read a container's limit; "max" means none
    except (OSError, ValueError):
        return memory.available, memory.total
    return min(memory.available, limit), min(memory.total, limit)
