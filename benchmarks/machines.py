"""The machine and the commit that a figure was measured with."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path


def describe() -> dict[str, str]:
    """Return date, machine and commit."""
    return {"date": datetime.date.today().isoformat(), "machine": machine(), "commit": commit()}


def machine() -> str:
    """Return the cores that this process may use, the CPU's name, and the memory."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cores} cores of {_cpu()}, {memory:.0f} GiB"


def commit() -> str:
    """Return the checkout's commit, followed by `-dirty` if files differ from it."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no checkout"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
