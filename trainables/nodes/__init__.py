"""The node that a process runs on: its own home, fork server and name, and whether it is about to leave."""

from trainables.nodes.node import FORK_SERVER_VARIABLE, LEAVING_VARIABLE, NAME_VARIABLE, NODE_VARIABLES, Node

__all__ = ["FORK_SERVER_VARIABLE", "LEAVING_VARIABLE", "NAME_VARIABLE", "NODE_VARIABLES", "Node"]
