"""The node of a Ray cluster that this process runs on, as the process that started the node describes it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FORK_SERVER_VARIABLE", "LEAVING_VARIABLE", "NAME_VARIABLE", "NODE_VARIABLES", "Node"]

HOME_VARIABLE = "MELTPOINT_NODE_HOME"
FORK_SERVER_VARIABLE = "MELTPOINT_NODE_FORK_SERVER"
NAME_VARIABLE = "MELTPOINT_NODE_NAME"
LEAVING_VARIABLE = "MELTPOINT_NODE_LEAVING"

NODE_VARIABLES = (HOME_VARIABLE, FORK_SERVER_VARIABLE, NAME_VARIABLE, LEAVING_VARIABLE)
"""Variables by which a node's processes know their node; Ray hands them on from the node to its workers."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node, as its processes see it.

    Attributes:
        name: shown to people, by default the host's name.
        home: folder of the node's own images and activations; None if the node uses the driver's path.
        fork_server: address of the node's fork server; None if the driver's address holds, or none at all.
        leaving: file that exists once the node is about to end; None if nothing announces the end.
    """

    name: str
    home: Path | None = None
    fork_server: str | None = None
    leaving: Path | None = None

    @classmethod
    def here(cls, variables: Mapping[str, str] = os.environ) -> Node:
        """Return the node that this process runs on."""
        home, leaving = variables.get(HOME_VARIABLE), variables.get(LEAVING_VARIABLE)
        return cls(
            name=variables.get(NAME_VARIABLE) or platform.node(),
            home=Path(home) if home else None,
            fork_server=variables.get(FORK_SERVER_VARIABLE) or None,
            leaving=Path(leaving) if leaving else None,
        )

    def variables(self) -> dict[str, str]:
        """Return the variables from which `here` makes this node again."""
        values = {
            NAME_VARIABLE: self.name,
            HOME_VARIABLE: self.home,
            FORK_SERVER_VARIABLE: self.fork_server,
            LEAVING_VARIABLE: self.leaving,
        }
        return {name: str(value) for name, value in values.items() if value is not None}

    def is_leaving(self) -> bool:
        """Return whether the node is about to end, so that no trial may start here."""
        return self.leaving is not None and self.leaving.exists()
