"""The nodes of the pool's cluster, as its status and its notices describe them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from service.clusters.placements import ClusterNode, NodeState, Placements
from service.drivers.pool_drivers import PoolDriver
from service.ledgers import Json

__all__ = ["Lacks", "as_node", "describe_nodes"]

LACK_SECONDS = 15.0
"""Time without a node that is large enough for a sweep, after which the sweep says so."""


def describe_nodes(states: Iterable[NodeState]) -> Iterator[Json]:
    """Yield each node as plain data: name, cores, GPUs and their kind, lanes, and why it gets none, if so."""
    for state in states:
        yield {**vars(state.node), "lanes": state.lanes, "problem": state.problem, "aside": state.aside}


def as_node(described: Json) -> ClusterNode:
    """Return the node that `describe_nodes` described."""
    return ClusterNode(**{name: described[name] for name in ("id", "name", "cores", "gpus", "accelerator")})


class Lacks:
    """Remembers since when no node has been large enough for a sweep, and what its user has been told."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}
        self._told: set[str] = set()

    def find(self, drivers: Iterable[PoolDriver], placements: Placements) -> dict[str, list[str]]:
        """Return what to tell now, by sweep: each sweep is told once that it waits."""
        lacking = {driver.join.sweep_id: driver.shape for driver in drivers if not placements.fits_some(driver.shape)}
        now = self._clock()
        self._since = {sweep_id: self._since.get(sweep_id, now) for sweep_id in lacking}
        self._told &= lacking.keys()
        late = [sweep_id for sweep_id in lacking.keys() - self._told if now - self._since[sweep_id] >= LACK_SECONDS]
        self._told.update(late)
        return {sweep_id: [f"{placements.lacking(lacking[sweep_id])}; the sweep waits for one"] for sweep_id in late}
