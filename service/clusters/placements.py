"""Places for lanes on the nodes of a cluster, as nodes come and go and some of them fail. This module knows no Ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

__all__ = ["ClusterNode", "LaneShape", "NodeState", "Place", "Placements"]

MOST_FAILURES = 3
"""Failures in a row, without a success between them, after which a node is set aside."""

ASIDE_SECONDS = 300.0
"""Time after which a node that was set aside gets lanes again; one further failure sets it aside anew."""

_SLACK = 1e-6
"""Rounding of sums of shares, such as three thirds of a GPU."""


class LaneShape(NamedTuple):
    """The resources of a lane: cores, GPUs (a fraction shares one), and the kind of GPU if only one kind will do."""

    cpu: float
    gpu: float = 0.0
    accelerator: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClusterNode:
    """A node that lives.

    Attributes:
        id: Ray's own.
        name: shown to people.
        cores: that Ray may give away, in all.
        gpus: that Ray may give away, in all.
        accelerator: kind of its GPUs, such as `H100`; None if it is not known.
    """

    id: str
    name: str
    cores: float
    gpus: float = 0.0
    accelerator: str | None = None

    def fits(self, shape: LaneShape) -> bool:
        """Return whether a lane fits if there is no other."""
        return self.slots(shape) > 0

    def slots(self, shape: LaneShape) -> int:
        """Return the number of lanes that fit if there are no others."""
        return _Room(self).slots(shape)


@dataclass(frozen=True)
class Place:
    """A lane's place; node: its id, or None if the lane waits for any node with room, which there is not now."""

    node: str | None


@dataclass(frozen=True, kw_only=True)
class NodeState:
    """A node as it stands. problem: why it gets no lanes; None if it gets some. aside: whether it failed too often."""

    node: ClusterNode
    lanes: int
    problem: str | None = None
    aside: bool = False


@dataclass
class _Lane:
    shape: LaneShape
    node: str | None


@dataclass
class _Health:
    failures: int = 0
    reason: str = ""
    aside_until: float | None = None


class _Room:
    """The free cores of a node, and the free share of each of its GPUs."""

    def __init__(self, node: ClusterNode) -> None:
        self.node, self.cores, self.gpus = node, node.cores, [1.0] * int(node.gpus)

    def slots(self, shape: LaneShape) -> int:
        """Return the number of further lanes that fit."""
        if shape.accelerator is not None and shape.accelerator != self.node.accelerator:
            return 0
        by_cores = int((self.cores + _SLACK) / shape.cpu)
        if not shape.gpu:
            return by_cores
        if shape.gpu > 1:
            return min(by_cores, int(sum(free > 1 - _SLACK for free in self.gpus) / shape.gpu))
        return min(by_cores, sum(int((free + _SLACK) / shape.gpu) for free in self.gpus))

    def take(self, shape: LaneShape) -> None:
        """Take a lane's share; of the GPUs that have room for a fraction, the fullest."""
        self.cores -= shape.cpu
        if shape.gpu > 1:
            whole = [index for index, free in enumerate(self.gpus) if free > 1 - _SLACK]
            for index in whole[: int(shape.gpu)]:
                self.gpus[index] = 0.0
        elif shape.gpu:
            fitting = [index for index, free in enumerate(self.gpus) if free + _SLACK >= shape.gpu]
            if fitting:
                self.gpus[min(fitting, key=lambda index: self.gpus[index])] -= shape.gpu


@dataclass
class Placements:
    """Says where a new lane may go, and which lanes and nodes are of no use any longer.

    Lanes are counted on their node, so that never more are made than fit there; they are spread over the nodes, and a
    GPU that is shared already is filled first. Lanes that need no GPU keep away from nodes with GPUs where they can.

    Thread safety: none; the owner's lock guards it.
    clock: returns monotonic seconds.
    """

    clock: Callable[[], float] = time.monotonic
    _nodes: dict[str, ClusterNode] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _lanes: dict[str, _Lane] = field(default_factory=dict)
    _health: dict[str, _Health] = field(default_factory=dict)
    _leaving: set[str] = field(default_factory=set)
    _full: set[LaneShape] = field(default_factory=set)
    """Shapes for which there was no room at the last look; emptied at every change."""

    GONE: ClassVar[str] = "it is gone"

    # The nodes.

    def follow(self, nodes: Iterable[ClusterNode]) -> None:
        """Go on with the nodes that live now. A node that joins again has a new id, and starts without failures."""
        there = {node.id: replace(node, name=self._names.get(node.id, node.name)) for node in nodes}
        if there != self._nodes or any(self._is_over(health) for health in self._health.values()):
            self._full.clear()
        self._nodes = there
        used = {lane.node for lane in self._lanes.values()}
        for gone in (self._health.keys() | self._leaving | self._names.keys()) - there.keys():
            self._health.pop(gone, None)
            self._leaving.discard(gone)
            if gone not in used:
                self._names.pop(gone, None)

    @property
    def nodes(self) -> list[ClusterNode]:
        """The nodes that live."""
        return list(self._nodes.values())

    def states(self) -> list[NodeState]:
        """Return how each node stands, by name."""
        counts: dict[str | None, int] = {}
        for lane in list(self._lanes.values()):
            counts[lane.node] = counts.get(lane.node, 0) + 1
        states = [
            NodeState(
                node=node,
                lanes=counts.get(node.id, 0),
                problem=self.problem(node.id),
                aside=node.id not in self._leaving and self._aside(node.id) is not None,
            )
            for node in list(self._nodes.values())
        ]
        return sorted(states, key=lambda state: state.node.name)

    def problem(self, node_id: str) -> str | None:
        """Return why the node gets no lanes; None if it gets some."""
        if node_id not in self._nodes:
            return self.GONE
        if node_id in self._leaving:
            return "it is about to leave"
        return self._aside(node_id)

    def is_leaving(self, node_id: str) -> bool:
        """Return whether the node is about to leave."""
        return node_id in self._leaving

    def unusable(self) -> list[str]:
        """Return the ids of the nodes that live and get no lanes."""
        return [node_id for node_id in self._nodes if self.problem(node_id) is not None]

    def name(self, node_id: str) -> str:
        """Return the name of a node for people."""
        node = self._nodes.get(node_id)
        return self._names.get(node_id) or (node.name if node else node_id[:8])

    def fits_some(self, shape: LaneShape) -> bool:
        """Return whether a node is large enough for a lane, whatever else is there, and may get lanes."""
        return any(node.fits(shape) and self.problem(node.id) is None for node in self._nodes.values())

    def slots(self, shape: LaneShape) -> int:
        """Return the number of lanes that fit on the nodes that get lanes, if there were no others."""
        return sum(node.slots(shape) for node in self._nodes.values() if self.problem(node.id) is None)

    def lacking(self, shape: LaneShape) -> str:
        """Return in words why no node is large enough for a lane; `fits_some` is False."""
        asks = f"a trial asks for {describe(shape)}"
        if not self._nodes:
            return f"{asks}; the cluster has no node that trains"
        fitting = [node for node in self._nodes.values() if node.fits(shape)]
        if fitting:
            troubles = "; ".join(f"{node.name}: {self.problem(node.id)}" for node in fitting)
            return f"{asks}; no node with room for it can be used: {troubles}"
        largest = max(self._nodes.values(), key=lambda node: (node.gpus if shape.gpu else 0.0, node.cores))
        kind = f" ({largest.accelerator})" if largest.accelerator else ""
        return f"{asks}; the largest node, {largest.name}, has {describe_size(largest.cores, largest.gpus)}{kind}"

    # The lanes.

    def place(self, lane: str, shape: LaneShape, *, may_wait: bool = False) -> Place | None:
        """Give a new lane a place; None if there is no room for it.

        may_wait: whether the lane may wait for a node with room; at most one lane does.
        """
        node_id = self._choose(shape)
        if node_id is None and (not may_wait or self.waiting):
            return None
        self._lanes[lane] = _Lane(shape, node_id)
        self._full.clear()
        return Place(node_id)

    def has_room(self, shape: LaneShape) -> bool:
        """Return whether a new lane would get a place at once."""
        return self._choose(shape) is not None

    def has_room_for_waiting(self) -> bool:
        """Return whether a lane that waits for a node could be on one by now."""
        rooms = self._rooms()
        waiting = [lane for lane in self._lanes.values() if lane.node is None]
        return any(_roomiest(rooms.values(), lane.shape) is not None for lane in waiting)

    def makes_room(self, lane: str, shape: LaneShape) -> bool:
        """Return whether a lane of that shape fits on the lane's node if enough lanes end there."""
        mine = self._lanes[lane]
        node = self._nodes.get(mine.node or "")
        return node is not None and node.fits(shape)

    def arrived(self, lane: str, node_id: str, name: str, *, leaving: bool) -> None:
        """Take note of the node on which a lane's worker is, as the worker tells it."""
        mine = self._lanes.get(lane)
        if mine is not None and mine.node != node_id:
            mine.node = node_id
            self._full.clear()
        if leaving != (node_id in self._leaving):
            (self._leaving.add if leaving else self._leaving.discard)(node_id)
            self._full.clear()
        if self._names.get(node_id) != name:
            self._names[node_id] = name
            if node_id in self._nodes:
                self._nodes[node_id] = replace(self._nodes[node_id], name=name)

    def ended(self, lane: str) -> None:
        """Forget a lane."""
        self._lanes.pop(lane, None)
        self._full.clear()

    def node_of(self, lane: str) -> str | None:
        """Return the id of a lane's node; None if the lane waits for one, or is unknown."""
        mine = self._lanes.get(lane)
        return None if mine is None else mine.node

    @property
    def count(self) -> int:
        """The number of lanes."""
        return len(self._lanes)

    @property
    def waiting(self) -> list[str]:
        """The lanes that wait for a node."""
        return [name for name, lane in self._lanes.items() if lane.node is None]

    def stranded(self) -> list[str]:
        """Return the lanes whose node is gone, or gets no lanes any longer."""
        return [name for name, lane in self._lanes.items() if lane.node is not None and self.problem(lane.node)]

    # The nodes' health.

    def succeeded(self, node_id: str) -> None:
        """Take note that a node did its work."""
        if self._aside(node_id) is None:
            self._health.pop(node_id, None)

    def failed(self, node_id: str, reason: str) -> str | None:
        """Take note that a node failed through its own fault; return a sentence if it is set aside now."""
        if node_id not in self._nodes:
            return None
        if self._aside(node_id) is not None:
            return None  # a lane that was under way as well
        health = self._health.setdefault(node_id, _Health())
        health.failures, health.reason, health.aside_until = health.failures + 1, reason, None
        if health.failures < MOST_FAILURES:
            return None
        health.aside_until = self.clock() + ASIDE_SECONDS
        return (
            f"node {self.name(node_id)} gets no trials for {ASIDE_SECONDS / 60:g} minutes, after "
            f"{health.failures} failures in a row; the last: {reason}"
        )

    def _aside(self, node_id: str) -> str | None:
        health = self._health.get(node_id)
        if health is None or health.aside_until is None or self.clock() >= health.aside_until:
            return None
        return f"it failed {health.failures} times in a row; the last: {health.reason}"

    def _is_over(self, health: _Health) -> bool:
        return health.aside_until is not None and self.clock() >= health.aside_until

    # Room.

    def _rooms(self) -> dict[str, _Room]:
        """Return the room beside the lanes that are there, on each usable node."""
        rooms = {node.id: _Room(node) for node in self._nodes.values() if self.problem(node.id) is None}
        for lane in self._lanes.values():
            if lane.node in rooms:
                rooms[lane.node].take(lane.shape)
        return rooms

    def _choose(self, shape: LaneShape) -> str | None:
        """Return the usable node with most room for a lane; what waits for a node has its place first."""
        if shape in self._full:
            return None
        rooms = self._rooms()
        for waiting in [lane for lane in self._lanes.values() if lane.node is None]:
            likely = _roomiest(rooms.values(), waiting.shape)
            if likely is not None:
                likely.take(waiting.shape)
        best = _roomiest(rooms.values(), shape)
        if best is None:
            self._full.add(shape)
            return None
        return best.node.id


def _roomiest(rooms: Iterable[_Room], shape: LaneShape) -> _Room | None:
    fitting = [(room, slots) for room in rooms if (slots := room.slots(shape))]
    if not fitting:
        return None
    return max(fitting, key=lambda each: (bool(shape.gpu) or not each[0].node.gpus, each[1]))[0]


def describe(shape: LaneShape) -> str:
    """Return the resources of a lane in words."""
    kind = f" of kind {shape.accelerator}" if shape.accelerator else ""
    return describe_size(shape.cpu, shape.gpu) + kind


def describe_size(cores: float, gpus: float) -> str:
    """Return cores and GPUs in words."""
    parts = [f"{cores:g} {'core' if cores == 1 else 'cores'}"]
    if gpus:
        parts.append(f"{gpus:g} {'GPU' if gpus <= 1 else 'GPUs'}")
    return " and ".join(parts)
