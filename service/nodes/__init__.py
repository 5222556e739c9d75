"""A node of a Ray cluster: what `meltpoint node` checks, starts, keeps alive and ends."""

from service.nodes.health import NodeHealth
from service.nodes.needs import check_needs
from service.nodes.node_process import NodeProcess
from service.nodes.options import NodeOptions

__all__ = ["NodeHealth", "NodeOptions", "NodeProcess", "check_needs"]
