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

__all__ = ["Cluster", "Early", "connect"]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What Ray says there is; fork_server: the address of this node's, or "" where nobody started one."""

    cpus: float
    gpus: float
    fork_server: str = ""


_fork_servers: list[ForkServer] = []
"""Of the Ray that this process started."""


@dataclass(frozen=True)
class Early:
    """What was started before this process had anything else to do."""

    head: RayHead
    fork_server: ForkServer


@contextmanager
def connect(early: Early | None = None) -> Iterator[Cluster]:
    """Start Ray on loopback (or join `RAY_ADDRESS`), and leave it again; a Ray that runs already is used as it is.

    With a Ray of our own comes a fork server, so that trials' processes need not load torch anew.

    early: both, where they are starting already; whoever started them ends them.

    Raises:
        ClusterError: Ray does not start, or the address leads to none.
    """
    with ExitStack() as stack:
        if not ray.is_initialized():
            _start(stack, early)
        there = ray.cluster_resources()
        address = _fork_servers[-1].address if _fork_servers else ""
        yield Cluster(cpus=there.get("CPU", 0.0), gpus=there.get("GPU", 0.0), fork_server=address)


def _start(stack: ExitStack, early: Early | None) -> None:
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        early = early or Early(stack.enter_context(closing(RayHead())), stack.enter_context(closing(ForkServer())))
        _fork_servers.append(early.fork_server)
        stack.callback(_fork_servers.pop)
    joined = early.head.address() if early else address
    try:
        ray.init(address=joined, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises whatever stopped it
        what = f"the Ray cluster of RAY_ADDRESS, {address}, cannot be joined" if address else "Ray did not start"
        raise ClusterError(f"{what}: {first_line(error)}") from error
    stack.callback(ray.shutdown)
