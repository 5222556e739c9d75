"""GPUs of the nodes, as Ray, NVIDIA's driver and torch count them."""

from __future__ import annotations

from collections.abc import Iterator

from service.upkeep.checks.findings import Finding, problem, warning
from service.upkeep.cluster_checks.looks import ClusterView, NodeFacts

__all__ = ["check_node_gpus", "gpu_finding"]


def check_node_gpus(view: ClusterView) -> Iterator[Finding]:
    """Compare the GPUs that Ray hands out with those that the driver lists and torch can use."""
    for node in view.trainers:
        yield gpu_finding(view.facts[node.id], node.gpus)


def gpu_finding(facts: NodeFacts, offered: float) -> Finding:
    """Return the finding about a node's GPUs. offered: number that Ray hands out there."""
    text = "; ".join(facts.gpus) or "none: trials train on the CPU"
    if offered > facts.usable_gpus:
        there = f"Ray hands out {offered:g}, NVIDIA's driver lists {len(facts.gpus)}, torch can use {facts.usable_gpus}"
        advice = "install NVIDIA's driver there, and start the container with the GPUs; `nvidia-smi` must list them"
        return problem("gpu", there, advice, node=facts.name)
    if offered < len(facts.gpus):
        advice = "start the node without --gpus, or with more of them"
        return warning("gpu", f"{text}; Ray hands out {offered:g} of {len(facts.gpus)}", advice, node=facts.name)
    return Finding(name="gpu", node=facts.name, text=text)
