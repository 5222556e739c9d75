"""How much memory a piece of work takes at its highest."""

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

import torch

__all__ = ["Peak", "measure_resident_bytes", "peak_memory"]

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


@dataclass
class Peak:
    """Bytes at the highest, once the work is done: of this process, or of what torch holds on a GPU."""

    bytes: int = 0


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Measures the work inside. Where the system cannot forget an earlier peak, that one counts too."""
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
    peak.bytes = _highest()


def measure_resident_bytes(device: torch.device) -> int:
    """What this process occupies now, or torch on a GPU."""
    gc.collect()
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    _return_freed_memory()
    return _status("VmRSS") or _highest()


def _return_freed_memory() -> None:
    """What earlier work freed, glibc keeps: later work would then seem to need nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _highest() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(field: str) -> int:
    """A line such as `VmHWM:  1234 kB`, in bytes; 0 where the system has none."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)
