"""The cluster that checks look at, and the facts that each node tells of itself."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import SweepSpec
from service.upkeep.checks.findings import Finding

if TYPE_CHECKING:
    from service.clusters.node_looks import ClusterNode, NodeLooks

__all__ = ["ClusterCheck", "ClusterView", "NodeFacts", "read_facts", "versions_here"]

_PACKAGES = {"Ray": "ray", "torch": "torch", "Meltpoint": "meltpoint"}


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """The state of a node.

    Attributes:
        name: shown to people.
        home: folder for its images and activations.
        versions: of Python and packages, by name.
        disk: free bytes of the home's disk.
        memory: free bytes of memory.
        gpus: its GPUs, as text, with memory and driver.
        usable_gpus: GPUs that torch can use.
    """

    name: str
    home: str
    versions: Mapping[str, str]
    disk: int
    memory: int
    gpus: tuple[str, ...]
    usable_gpus: int


@dataclass(frozen=True, kw_only=True)
class ClusterView:
    """A joined cluster.

    Attributes:
        looks: asks the nodes.
        facts: of each node that answered, by its id.
        home: the driver's, which nodes without a home of their own use.
        store: place of checkpoints; None for the home.
        spec: the sweep whose images nodes must read, if one is given.
        folder: of the sweep's file, where relative paths begin.
    """

    looks: NodeLooks
    facts: Mapping[str, NodeFacts]
    home: Path
    store: str | None
    spec: SweepSpec | None
    folder: Path

    @property
    def trainers(self) -> list[ClusterNode]:
        """The nodes that answered and that trials run on."""
        return [node for node in self.looks.nodes if node.cpus > 0 and node.id in self.facts]

    def name(self, node: ClusterNode) -> str:
        """Return the name of a node, or its address if it has not answered."""
        facts = self.facts.get(node.id)
        return node.address if facts is None else facts.name

    def ask(self, question: Callable[..., Any], *arguments: Any, seconds: float = 60.0) -> Iterator[tuple[str, Any]]:
        """Yield the name of each node that trials run on, with its answer or `NoAnswer`."""
        answers = self.looks.ask(question, *arguments, nodes=self.trainers, seconds=seconds) if self.trainers else {}
        for node in self.trainers:
            yield self.name(node), answers[node.id]


ClusterCheck = Callable[[ClusterView], Iterator[Finding]]
"""A check: yields its findings, each with the node that it is about."""


def versions_here() -> Mapping[str, str]:
    """Return the versions that must be equal on all nodes, by name."""
    return {"Python": platform.python_version()} | {
        name: metadata.version(package) for name, package in _PACKAGES.items()
    }


def read_facts(drivers_home: str) -> NodeFacts:
    """Return the facts of the node that this process runs on.

    drivers_home: used by a node without a home of its own.
    """
    from service.clusters import memory_available
    from trainables.devices import find_gpus
    from trainables.nodes import Node

    node, gpus = Node.here(), find_gpus()
    home = node.home or Path(drivers_home)
    there = next(place for place in (home, *home.parents) if place.exists())
    return NodeFacts(
        name=node.name,
        home=str(home),
        versions=versions_here(),
        disk=shutil.disk_usage(there).free,
        memory=memory_available()[0],
        gpus=tuple(f"{gpu.name} of {gpu.memory / 10**9:.0f} GB, driver {gpu.driver}" for gpu in gpus),
        usable_gpus=_count_usable() if gpus else 0,
    )


def _count_usable() -> int:
    import torch

    return torch.cuda.device_count()
