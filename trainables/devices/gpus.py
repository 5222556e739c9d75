"""The GPUs of this machine as NVIDIA's driver lists them: the process that asks keeps no CUDA context."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

__all__ = ["Gpu", "find_gpus", "parse_listing"]

_MIB = 1024 * 1024
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU. memory: bytes in all; free: bytes that nobody uses now."""

    name: str
    memory: int
    free: int
    driver: str


def find_gpus() -> tuple[Gpu, ...]:
    """The GPUs that `CUDA_VISIBLE_DEVICES` leaves visible; none where the driver, or nvidia-smi, is missing.

    Cards of another make, and parts of a card by their MIG name, are not listed.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return ()
    chosen = [] if visible is None else ["-i", visible]
    query = ["--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(
            ["nvidia-smi", *chosen, *query], capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_listing(told.stdout)


def parse_listing(listing: str) -> tuple[Gpu, ...]:
    """The GPUs in nvidia-smi's lines `name, MiB in all, MiB free, driver`; a line that says less is left out."""
    found = []
    for line in listing.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 4 and cells[1].isdecimal() and cells[2].isdecimal():
            memory, free = int(cells[1]) * _MIB, int(cells[2]) * _MIB
            found.append(Gpu(name=cells[0], memory=memory, free=free, driver=cells[3]))
    return tuple(found)
