"""Ray on this machine for the length of one sweep, or the cluster that `RAY_ADDRESS` names."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import ray

from search_spaces.errors import first_line
from service.errors import ClusterError
from service.ray_heads import RayHead
from trainables.fork_servers import ForkServer

__all__ = ["Cluster", "Early", "connect", "forking"]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What Ray says there is."""

    cpus: float
    gpus: float


@dataclass(frozen=True)
class Early:
    """What was started before this process had anything else to do; whoever started it ends it."""

    head: RayHead
    fork_server: ForkServer


@contextmanager
def connect(early: Early | None = None) -> Iterator[Cluster]:
    """Start Ray on loopback (or join `RAY_ADDRESS`), and leave it again; a Ray that runs already is used as it is.

    Raises:
        ClusterError: Ray does not start, or the address leads to none.
    """
    with ExitStack() as stack:
        if not ray.is_initialized():
            _start(stack, early)
        there = ray.cluster_resources()
        yield Cluster(cpus=there.get("CPU", 0.0), gpus=there.get("GPU", 0.0))


def _start(stack: ExitStack, early: Early | None) -> None:
    address = os.environ.get("RAY_ADDRESS")
    joined = address or (early.head if early else stack.enter_context(closing(RayHead()))).address()
    try:
        ray.init(address=joined, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises whatever stopped it
        what = f"the Ray cluster of RAY_ADDRESS, {address}, cannot be joined" if address else "Ray did not start"
        raise ClusterError(f"{what}: {first_line(error)}") from error
    stack.callback(ray.shutdown)


_fork_servers: list[ForkServer] = []
"""That of this process, while it has one."""


@contextmanager
def forking(early: Early | None = None) -> Iterator[str]:
    """Start this node's fork server, so that trials' processes need not load torch anew, and end it again.

    One that runs already is used as it is. Yields its address; "" where `RAY_ADDRESS` names the Ray, whose workers
    may be anywhere.
    """
    with ExitStack() as stack:
        if not _fork_servers and not os.environ.get("RAY_ADDRESS"):
            _fork_servers.append(early.fork_server if early else stack.enter_context(closing(ForkServer())))
            stack.callback(_fork_servers.clear)
        yield _fork_servers[0].address if _fork_servers else ""
