"""The places of a trial's files on the node that trains it. This module does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from trainables.activations import usual_cache_limit
from trainables.nodes import Node

__all__ = ["adapt_to_node"]

Json = dict[str, Any]

_usual_limit = lru_cache(maxsize=8)(usual_cache_limit)
"""Measured once in a worker's life: the cache itself takes from the free disk."""


def adapt_to_node(config: Mapping[str, Any], node: Node, *, elsewhere: bool) -> Json:
    """Return a worker's config with the places and limits of its node in place of the driver's.

    A node with a home of its own has images, activations and logs there; any other has them at the driver's paths.

    config: with `home` (the driver's), `log` and `trial`, see `TrialWorker`. elsewhere: whether the node does not see
    the driver's files; only then own code and weights are compared with the driver's.
    """
    trial: Json = {**config["trial"], "node": node.name}
    if not elsewhere:
        trial |= {"own_code": {}, "weights_digest": None}
    adapted = {**config, "trial": trial}
    if not (config.get("home") and (elsewhere or node.home)):
        return adapted
    root = Path(config["home"])
    home = node.home or root
    adapted["log"] = _moved(config["log"], root, home)
    trial["images_root"] = _moved(trial["images_root"], root, home)
    if trial["sharing"]:
        folder = _moved(trial["sharing"]["folder"], root, home)
        trial["sharing"] = {**trial["sharing"], "folder": folder}
        if trial["sharing"]["is_usual"]:
            trial["sharing"]["limit"] = _usual_limit(home)
    return adapted


def _moved(path: str, root: Path, home: Path) -> str:
    """Return the place below `home` of a path below `root`; other paths stay."""
    return str(home / Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path
