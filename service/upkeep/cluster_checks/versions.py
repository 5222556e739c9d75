"""Versions of Python, Ray, torch and Meltpoint on each node."""

from __future__ import annotations

from collections.abc import Iterator

from service.upkeep.checks.findings import Finding, problem
from service.upkeep.cluster_checks.looks import ClusterView, versions_here

__all__ = ["check_node_versions"]


def check_node_versions(view: ClusterView) -> Iterator[Finding]:
    """Compare each node's versions with those of this process."""
    here = versions_here()
    for node in view.looks.nodes:
        facts = view.facts.get(node.id)
        if facts is None:
            continue
        text = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
        others = [name for name, version in here.items() if facts.versions.get(name) != version]
        if others:
            wanted = ", ".join(f"{name} {here[name]}" for name in others)
            yield problem("versions", text, f"use the same image on all nodes: here it is {wanted}", node=facts.name)
        else:
            yield Finding(name="versions", node=facts.name, text=text)
