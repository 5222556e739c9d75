"""The Ray cluster that a sweep starts or joins."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator

from service.upkeep.checks.findings import Finding, Surroundings

__all__ = ["check_ray_cluster", "check_ray_start"]


def check_ray_cluster(surroundings: Surroundings) -> Iterator[Finding]:
    """Tell which Ray a sweep would use, without starting or joining it; yield nothing if Ray is not installed."""
    address = surroundings.environment.get("RAY_ADDRESS")
    if importlib.util.find_spec("ray") is None:
        return
    text = f"joins {address} (from RAY_ADDRESS)" if address else "starts on this machine"
    yield Finding(name="ray cluster", text=f"{text}; --start tries it")


def check_ray_start(_surroundings: Surroundings) -> Iterator[Finding]:
    """Start Ray as a sweep would, which takes some seconds, and tell what Ray counts."""
    from service.clusters.connections import connect

    started = time.perf_counter()
    with connect() as cluster:
        seconds = time.perf_counter() - started
        text = f"started in {seconds:.0f} s: {cluster.cpus:g} cores, {cluster.gpus:g} GPUs"
        yield Finding(name="ray start", text=text)
