"""Peak memory of a piece of work.

The peak of this process is read from /proc, since psutil knows its present memory only.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

__all__ = ["Peak", "measure_resident_bytes", "peak_memory"]

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


@dataclass
class Peak:
    """Most bytes that this process, or torch on a GPU, had at one time; known after the work."""

    bytes: int = 0


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Measure the work inside the block. An earlier peak counts too on systems that cannot reset it."""
    gc.collect()
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated(device)
        return
    with contextlib.suppress(OSError):
        _RESET.write_text("5")
    yield peak
    peak.bytes = _peak_of_process()


def measure_resident_bytes(device: torch.device) -> int:
    """Return the bytes that this process occupies now, or that torch has allocated on a GPU."""
    gc.collect()
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    _return_freed_memory()
    resident: int = psutil.Process().memory_info().rss
    return resident


def _return_freed_memory() -> None:
    """Return freed memory to the system: glibc keeps it, and later work would seem to need nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _peak_of_process() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return _resettable_peak() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _resettable_peak() -> int:
    """Return the line `VmHWM:  1234 kB` of the process's status in bytes; 0 on a system without it."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
