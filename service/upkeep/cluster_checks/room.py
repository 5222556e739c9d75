"""Room on each node: its disk and its memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from search_spaces.documents import format_size
from service.upkeep.checks.findings import Finding, problem, warning
from service.upkeep.checks.home import LEAST_DISK
from service.upkeep.checks.memory import LEAST_MEMORY
from service.upkeep.cluster_checks.looks import ClusterView, NodeFacts

__all__ = ["check_room", "disk_finding"]

FULL_DISK: Final = 10**9
"""Free bytes below which a node cannot prepare images."""


def check_room(view: ClusterView) -> Iterator[Finding]:
    """Check the free disk and memory of the nodes that trials run on."""
    for node in view.trainers:
        facts = view.facts[node.id]
        yield disk_finding(facts)
        memory = f"{format_size(facts.memory)} free"
        if facts.memory < LEAST_MEMORY:
            advice = "give the node more, or fewer cores (--cpus), so that fewer trials run there at once"
            yield warning("memory", memory, advice, node=facts.name)
        else:
            yield Finding(name="memory", node=facts.name, text=memory)


def disk_finding(facts: NodeFacts) -> Finding:
    """Return the finding about the disk of a node's home."""
    text = f"{format_size(facts.disk)} free in {facts.home}"
    advice = "make room there (meltpoint cache prune), or start the node with --home on a larger disk"
    if facts.disk < FULL_DISK:
        return problem("disk", text, advice, node=facts.name)
    if facts.disk < LEAST_DISK:
        return warning("disk", text, advice, node=facts.name)
    return Finding(name="disk", node=facts.name, text=text)
