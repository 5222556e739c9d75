"""Clocks of the nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from service.upkeep.checks.findings import Finding, problem, warning
from service.upkeep.cluster_checks.looks import ClusterView

if TYPE_CHECKING:
    from service.clusters.node_looks import NoAnswer

__all__ = ["check_clocks", "clock_finding"]

WARN_SECONDS: Final = 1.0
"""Offset from which times of trials and epochs look odd."""

WRONG_SECONDS: Final = 10.0
"""Offset from which leases of 30 s and signed requests to a store become unreliable."""


def check_clocks(view: ClusterView) -> Iterator[Finding]:
    """Measure how far each node's clock is off this one's."""
    for node in view.looks.nodes:
        if node.id in view.facts:
            yield clock_finding(view.name(node), view.looks.clock_offset(node))


def clock_finding(node: str, offset: tuple[float, float] | NoAnswer) -> Finding:
    """Return the finding about a clock. offset: seconds ahead of this machine's clock, and the error of that."""
    if not isinstance(offset, tuple):
        return problem("clock", offset.reason, "look at the node's log", node=node)
    seconds, error = offset
    text = f"{seconds:+.3f} s, measured to {error:.3f} s"
    off = max(0.0, abs(seconds) - error)
    advice = "keep clocks equal by NTP, such as chrony, on that machine and on this one"
    if off > WRONG_SECONDS:
        return problem("clock", text, advice, node=node)
    if off > WARN_SECONDS:
        return warning("clock", text, advice, node=node)
    return Finding(name="clock", node=node, text=text)
