"""How busy the machine of a trial is: processor, memory and GPUs, whoever uses them."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from trainables.devices.gpus import read_gpu_use

__all__ = ["SAMPLING_SECONDS", "UsageMeter"]

SAMPLING_SECONDS = 10.0
"""Least time between two samples, as in MLflow's own monitor. Without a GPU a sample takes 0.1 ms (measured)."""

_MEGABYTE = 1e6


class UsageMeter:
    """Samples the use of this machine, at most every ten seconds.

    The names are those of MLflow's own monitor (mlflow.system_metrics), so that its page shows them together:
    `cpu_utilization_percentage` is the mean since the last sample, all else the value at the sample. The GPUs are
    those that this process sees.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sampled_at = clock()
        psutil.cpu_percent()  # the next call returns the mean since this one

    def sample(self) -> dict[str, float]:
        """Return the use of this machine; empty if the last sample is less than ten seconds old."""
        now = self._clock()
        if now - self._sampled_at < SAMPLING_SECONDS:
            return {}
        self._sampled_at = now
        memory = psutil.virtual_memory()
        use = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / _MEGABYTE,
            "system_memory_usage_percentage": memory.percent,
        }
        for index, gpu in enumerate(read_gpu_use()):
            use[f"gpu_{index}_utilization_percentage"] = gpu.utilization
            use[f"gpu_{index}_memory_usage_megabytes"] = gpu.used / _MEGABYTE
            use[f"gpu_{index}_memory_usage_percentage"] = 100 * gpu.used / gpu.memory
        return use
