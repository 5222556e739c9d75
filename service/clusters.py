"""Ray on this machine for the length of one sweep, or the cluster that `RAY_ADDRESS` names."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray

from service.errors import ClusterError

OBJECT_STORE_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What Ray says there is."""

    cpus: float
    gpus: float


@contextmanager
def connect() -> Iterator[Cluster]:
    """Start Ray on loopback (or join `RAY_ADDRESS`), and leave it again; a Ray that runs already is used as it is.

    Raises:
        ClusterError: Ray does not start, or the address leads to none.
    """
    ours = not ray.is_initialized()
    if ours:
        _start()
    try:
        there = ray.cluster_resources()
        yield Cluster(cpus=there.get("CPU", 0.0), gpus=there.get("GPU", 0.0))
    finally:
        if ours:
            ray.shutdown()


def _start() -> None:
    address = os.environ.get("RAY_ADDRESS")
    try:
        _init(address)
    except Exception as error:  # Ray raises whatever stopped it
        what = f"the Ray cluster of RAY_ADDRESS, {address}, cannot be joined" if address else "Ray did not start"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ClusterError(f"{what}: {reason}") from error


def _init(address: str | None) -> None:
    if address:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        return
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
    )
