"""The node that a process runs on: its own home, fork server and name, and whether it is about to leave."""

from trainables.nodes.node import LEAVING_VARIABLE, NAME_VARIABLE, NODE_VARIABLES, Node

__all__ = ["LEAVING_VARIABLE", "NAME_VARIABLE", "NODE_VARIABLES", "Node"]
