"""The nodes of the Ray cluster that this process has joined, and what binds a lane to one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import ray
from ray.tune import PlacementGroupFactory

from service.clusters.placements import ClusterNode, LaneShape

__all__ = ["lane_resources", "make_group", "read_nodes"]

_NODE_LABEL = "ray.io/node-id"
_ACCELERATOR_LABEL = "ray.io/accelerator-type"
_ACCELERATOR_RESOURCE = "accelerator_type:"
_TRACE = 0.001
"""Share of a node's `accelerator_type:` that Ray's own `accelerator_type=` asks for."""


def read_nodes(listed: Iterable[Mapping[str, Any]] | None = None) -> list[ClusterNode]:
    """Return the nodes that live and have cores to give away. listed: as `ray.nodes` returns them."""
    return [
        ClusterNode(
            id=str(node["NodeID"]),
            name=str(node.get("NodeManagerHostname") or node["NodeManagerAddress"]),
            cores=float(node["Resources"]["CPU"]),
            gpus=float(node["Resources"].get("GPU", 0.0)),
            accelerator=_accelerator(node),
        )
        for node in (ray.nodes() if listed is None else listed)
        if node["Alive"] and node["Resources"].get("CPU")
    ]


def _accelerator(node: Mapping[str, Any]) -> str | None:
    label = (node.get("Labels") or {}).get(_ACCELERATOR_LABEL)
    if label:
        return str(label)
    named = (name for name in node["Resources"] if name.startswith(_ACCELERATOR_RESOURCE))
    return next((name.removeprefix(_ACCELERATOR_RESOURCE) for name in named), None)


def lane_resources(shape: LaneShape, *, node: str | None = None, avoided: Iterable[str] = ()) -> dict[str, Any]:
    """Return what a lane asks of Ray, as plain values for a lane's config; see `make_group`.

    node: the id of the node on which the lane must be; None for any but the `avoided`.
    """
    bundle: dict[str, float] = {"CPU": shape.cpu} | ({"GPU": shape.gpu} if shape.gpu else {})
    avoided = sorted(avoided)
    labels = {}
    if node is not None:
        labels = {_NODE_LABEL: node}
    else:
        if shape.accelerator is not None:
            bundle[_ACCELERATOR_RESOURCE + shape.accelerator] = _TRACE
        if avoided:
            labels = {_NODE_LABEL: f"!in({','.join(avoided)})"}
    return {"bundle": bundle, "labels": labels}


def make_group(config: Mapping[str, Any]) -> PlacementGroupFactory:
    """Return the placement group of a lane with this config; see `lane_resources`."""
    labels, bundles = config.get("labels"), [config["bundle"]]
    if not labels:
        return PlacementGroupFactory(bundles)
    return PlacementGroupFactory(bundles, bundle_label_selector=[labels])
