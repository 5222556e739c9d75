"""The home folder and the disk below it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator

from search_spaces.documents import format_size
from service.upkeep.checks.findings import Finding, Surroundings, problem, warning

__all__ = ["check_home"]

LEAST_DISK = 5 * 10**9
"""Free bytes of the disk below which there is a warning."""

SLOW_DISK = 50 * 10**6
"""Bytes a second below which there is a warning."""

_WRITTEN = 16 * 1024 * 1024


def check_home(surroundings: Surroundings) -> Iterator[Finding]:
    """Check that the home can be written, how much room there is, and how quick its disk is."""
    root = surroundings.home.root
    there = next(place for place in (root, *root.parents) if place.exists())
    text = f"{root} (from {surroundings.home_from})"
    try:
        with tempfile.NamedTemporaryFile(dir=there) as file:
            speed = _write_speed(file.fileno())
    except OSError as error:
        yield problem("home", f"{text} cannot be written: {error.strerror}", "choose another: --home or MELTPOINT_HOME")
        return
    yield Finding(
        name="home", text=text if there == root else f"{text}, made by the first `meltpoint run` or `meltpoint serve`"
    )
    free = shutil.disk_usage(there).free
    disk = f"{format_size(free)} free, writes {format_size(speed)} a second"
    if free < LEAST_DISK:
        yield warning("disk", disk, "make room (meltpoint cache prune), or choose another home")
    elif speed < SLOW_DISK:
        yield warning("disk", disk, "decoded images are read from here: a local disk is quicker")
    else:
        yield Finding(name="disk", text=disk)


def _write_speed(descriptor: int) -> float:
    """Return the bytes a second at which 16 MiB are written, until they are on the disk."""
    block = os.urandom(1024 * 1024)
    started = time.perf_counter()
    for _ in range(_WRITTEN // len(block)):
        os.write(descriptor, block)
    os.fsync(descriptor)
    return _WRITTEN / (time.perf_counter() - started)
