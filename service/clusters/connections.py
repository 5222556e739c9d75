"""Ray on this machine for the length of one sweep, or the cluster that `RAY_ADDRESS` names."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import ray

from search_spaces.errors import first_line
from service.clusters.cluster_nodes import read_nodes
from service.clusters.placements import ClusterNode
from service.clusters.prestarts import Prestarted
from service.clusters.ray_heads import RayHead
from service.clusters.resources import await_resources
from service.errors import ClusterError
from trainables.processes import ForkServer
from trainables.trials import PRELOAD

__all__ = ["Cluster", "connect", "forking"]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The resources that Ray knows of.

    nodes: those that train, as they are now; None if Ray runs on this machine alone.
    """

    cpus: float
    gpus: float
    nodes: tuple[ClusterNode, ...] | None = None

    @property
    def here(self) -> bool:
        """True if Ray runs on this machine alone."""
        return self.nodes is None


@contextmanager
def connect(prestarted: Prestarted | None = None) -> Iterator[Cluster]:
    """Start Ray on loopback (or join `RAY_ADDRESS`), and leave it again; a Ray that runs already is used as it is.

    Raises:
        ClusterError: Ray does not start, or the address leads to none.
    """
    with ExitStack() as stack:
        if not ray.is_initialized():
            _start(stack, prestarted)
        cpus, gpus = await_resources()
        nodes = tuple(read_nodes()) if os.environ.get("RAY_ADDRESS") else None
        yield Cluster(cpus=cpus, gpus=gpus, nodes=nodes)


def _start(stack: ExitStack, prestarted: Prestarted | None) -> None:
    address = os.environ.get("RAY_ADDRESS")
    joined = address or _head(stack, prestarted).address()
    try:
        ray.init(address=joined, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises errors of every kind
        what = f"the Ray cluster of RAY_ADDRESS, {address}, cannot be joined" if address else "Ray did not start"
        raise ClusterError(f"{what}: {first_line(error)}") from error
    stack.callback(ray.shutdown)


def _head(stack: ExitStack, prestarted: Prestarted | None) -> RayHead:
    """Return Ray's processes, which end when this Ray is left; the creator of prestarted ones waits for their end."""
    head = prestarted.head if prestarted else None
    if head is None:
        return stack.enter_context(closing(RayHead()))
    stack.callback(head.end)
    return head


_fork_servers: list[ForkServer] = []
"""The fork server of this process, while it has one."""


@contextmanager
def forking(prestarted: Prestarted | None = None) -> Iterator[str]:
    """Run this node's fork server while entered, so that no process loads torch again; yield the server's address.

    A server that runs already is used, and left running.
    """
    with ExitStack() as stack:
        if not _fork_servers:
            _fork_servers.append(
                prestarted.fork_server if prestarted else stack.enter_context(closing(ForkServer(preload=PRELOAD)))
            )
            stack.callback(_fork_servers.clear)
        yield _fork_servers[0].address
