"""Lanes on the nodes of a Ray cluster: their places, what their workers tell of the nodes, and how nodes fail."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable

from service.clusters.cluster_nodes import lane_resources
from service.clusters.placements import ClusterNode, LaneShape, Placements
from service.coordination import cause_of, node_fault
from service.ledgers import Cause, Json
from service.tune.sources import crash_reason

__all__ = ["LEAVING", "NodeLanes"]

START_SECONDS = 120.0
"""Time within which a worker starts on a node that has room for it, also if the node is busy."""

LOOK_SECONDS = 0.5
_NOTICES_KEPT = 100
LEAVING = "its node, {}, is about to leave"


class NodeLanes:
    """Keeps the places of lanes, from `place` to `ended`, and the health of the nodes that train.

    Thread safety: none; the owner's lock guards it.

    Args:
        binds: whether lanes are bound to nodes; False if Ray runs on this machine alone, whose faults are nobody
            else's to mend.
        clock: returns monotonic seconds.
    """

    def __init__(self, *, binds: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.placements = Placements(clock=clock)
        self._binds, self._clock = binds, clock
        self._starting: dict[str, float] = {}
        """Time at which each lane was made whose worker has not answered yet."""
        self._looks_again_at = -math.inf
        self._notices = deque[str](maxlen=_NOTICES_KEPT)

    def follow(self, nodes: Iterable[ClusterNode]) -> None:
        """Go on with the nodes that live now."""
        self.placements.follow(nodes)

    def place(self, lane: str, shape: LaneShape, *, may_wait: bool = False) -> Json | None:
        """Return what a new lane asks of Ray; None if there is no room for it. may_wait: see `Placements.place`."""
        place = self.placements.place(lane, shape, may_wait=may_wait and self._binds)
        if place is None:
            return None
        self._starting[lane] = self._clock()
        avoided = self.placements.unusable() if self._binds else ()
        return lane_resources(shape, node=place.node if self._binds else None, avoided=avoided)

    def heard(self, lane: str, about: Json) -> None:
        """Take note of what a worker tells of its node; see `TrialWorker.about_node`."""
        self._starting.pop(lane, None)
        self.placements.arrived(lane, about["id"], about["name"], leaving=about["leaving"])

    def ended(self, lane: str) -> None:
        """Forget a lane."""
        self._starting.pop(lane, None)
        self.placements.ended(lane)

    def problem(self, lane: str) -> str | None:
        """Return why the lane is to end; None if it may go on."""
        node = self.placements.node_of(lane)
        return self.placements.problem(node) if self._binds and node is not None else None

    def is_leaving(self, lane: str) -> bool:
        """Return whether the lane's node is about to leave, so that a trial there goes on elsewhere."""
        node = self.placements.node_of(lane)
        return self._binds and node is not None and self.placements.is_leaving(node)

    def name(self, lane: str) -> str | None:
        """Return the name of the lane's node; None if it is not known."""
        node = self.placements.node_of(lane)
        return None if node is None else self.placements.name(node)

    def is_nodes_fault(self, lane: str, report: Json) -> bool:
        """Judge a report: return whether it tells of an error that is the fault of the lane's node."""
        node = self.placements.node_of(lane)
        if not self._binds or node is None:
            return False
        error = report.get("error")
        fault = node_fault(error, report.get("trace") or "") if error else None
        if fault is None:
            if report.get("history"):
                self.placements.succeeded(node)
            return False
        self._note_failure(node, fault)
        return True

    def lost(self, lane: str, error_text: str, *, trains: bool) -> tuple[Cause, str]:
        """Judge the loss of a worker; return the cause and the reason in words.

        error_text: Ray's words, or nothing. trains: whether it had a trial.
        """
        cause, reason, node = cause_of(error_text), crash_reason(error_text), self.placements.node_of(lane)
        if not self._binds or node is None:
            return cause, reason
        if cause is Cause.LOST_NODE or self.placements.problem(node) == Placements.GONE:
            return Cause.LOST_NODE, f"node {self.placements.name(node)} was lost"
        fault = node_fault(error_text)
        if fault is not None:
            self._note_failure(node, fault)
            return Cause.BAD_NODE, fault
        if not trains:
            self._note_failure(node, f"its worker ended as it started: {reason}")
        return cause, reason

    def overdue(self, is_wanted: Callable[[], bool]) -> list[str]:
        """Return the lanes without a worker that are to be ended. is_wanted: whether a lane may wait for a node.

        A node on which no worker starts, since others use its cores, or its workers die, has failed. Looks twice a
        second.
        """
        now = self._clock()
        if not self._binds or not self._starting or now < self._looks_again_at:
            return []
        self._looks_again_at = now + LOOK_SECONDS
        overdue = [] if is_wanted() else self.placements.waiting
        for lane, begun in list(self._starting.items()):
            node = self.placements.node_of(lane)
            if node is None:
                if not self.placements.has_room_for_waiting():
                    self._starting[lane] = now
                elif now - begun > START_SECONDS:
                    overdue.append(lane)
            elif self.placements.problem(node) is not None:
                overdue.append(lane)
            elif now - begun > START_SECONDS:
                overdue.append(lane)
                del self._starting[lane]
                self._note_failure(
                    node, f"no worker started within {START_SECONDS:g} s; other programs may have taken its cores"
                )
        return overdue

    @property
    def starting(self) -> list[str]:
        """The lanes whose worker has not answered yet."""
        return list(self._starting)

    def take_notices(self) -> list[str]:
        """Return what users should know of the nodes since the last call."""
        notices = list(self._notices)
        self._notices.clear()
        return notices

    def _note_failure(self, node: str, reason: str) -> None:
        notice = self.placements.failed(node, reason)
        if notice is not None:
            self._notices.append(notice)
