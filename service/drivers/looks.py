"""Looks from the nodes of a Ray cluster: can the workers there read what a sweep needs?"""

from __future__ import annotations

import os
from collections.abc import Sequence

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from service.drivers.messages import Unreadable

__all__ = ["find_unreadable"]

LOOK_SECONDS = 20.0


def find_unreadable(paths: Sequence[str]) -> list[Unreadable]:
    """Return the paths that cannot be read on a node with cores; a node that does not answer in time is left out."""
    nodes = {
        node["NodeID"]: str(node["NodeManagerAddress"])
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU")
    }
    look = ray.remote(num_cpus=0)(_unreadable)
    looks = {
        look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)).remote(list(paths)): node
        for node_id, node in nodes.items()
    }
    done, _ = ray.wait(list(looks), num_returns=len(looks), timeout=LOOK_SECONDS)
    return [Unreadable(path=path, node=looks[reference]) for reference in done for path in ray.get(reference)]


def _unreadable(paths: list[str]) -> list[str]:
    return [path for path in paths if not os.access(path, os.R_OK)]
