"""The source of one sweep's trials on a cluster, whose nodes come and go while the sweep runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from typing_extensions import override

from service.clusters.placements import ClusterNode, LaneShape
from service.coordination import Coordinator, Result
from service.errors import ResourcesError, StaleAttemptError
from service.ledgers import Cause, Json, Trial
from service.tune.node_lanes import LEAVING, NodeLanes
from service.tune.sources import CoordinatorSource

__all__ = ["ClusterSource"]

LOOK_SECONDS = 1.0
NOTICE_SECONDS = 15.0
"""Time without a node that is large enough, after which the sweep says that it waits for one."""

PATIENCE_SECONDS = 600.0
"""Time without a node that is large enough, after which a sweep of one command gives up.

Ray does not tell whether something starts nodes on demand; where something does, a node is there within minutes.
"""


class ClusterSource(CoordinatorSource):
    """Gives the trials of one sweep to lanes on the nodes of a cluster.

    A lane begins without a trial, so that no trial counts as begun while its worker starts.

    Thread safety: `follow` may be called from another thread than Tune's.

    Args:
        coordinator: of the sweep.
        make_config: returns the config by which a worker trains a trial.
        shape: resources of a trial.
        bells: folder for files at which workers of this machine look while they wait.
        when_exhausted: called when a lane asks and no trial is to be started, at least now.
        clock: returns monotonic seconds.
    """

    binds = True

    def __init__(
        self,
        coordinator: Coordinator,
        make_config: Callable[[Trial], Json],
        *,
        shape: LaneShape,
        bells: Path,
        when_exhausted: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(coordinator, make_config, when_exhausted=when_exhausted)
        self._shape, self._bells, self._clock = shape, bells, clock
        self._nodes = NodeLanes(binds=True, clock=clock)
        self._lock = threading.RLock()
        self._looks_again_at = 0.0
        self._lacking_since: float | None = None
        self._has_told = False

    def follow(self, nodes: Iterable[ClusterNode]) -> None:
        """Go on with the nodes that live now; tell the user what becomes of them.

        Raises:
            ResourcesError: for a long time no node has been large enough, although no trial runs.
        """
        with self._lock:
            self._nodes.follow(nodes)
            self._looks_again_at = 0.0
            notices = self._nodes.take_notices()
            lacking = self._note_lack()
        for text in notices:
            self._coordinator.notice(text)
        if lacking is not None:
            self._coordinator.notice(lacking)

    @override
    def first_config(self, lane: str) -> Json | None:
        """Return the config of a new lane, which has no trial yet, if there is room for it."""
        with self._lock:
            now = self._clock()
            free = self._nodes.placements.count - len(self._training)
            if now < self._looks_again_at or self._coordinator.startable <= free:
                return None
            placed = self._nodes.place(lane, self._shape, may_wait=True)
            if placed is None:
                self._looks_again_at = now + LOOK_SECONDS
                return None
            return {"trial_id": None, "bell": None} | placed

    @override
    def next_config(self, lane: str) -> Json | None:
        """Return the config of the lane's next trial, or nothing to do for a while; None if the lane is to end."""
        with self._lock:
            self._training.pop(lane, None)
            if self._nodes.problem(lane) is None and not self._coordinator.is_done:
                config = self.config_of_next_trial(lane, self._nodes.name(lane))
                if config is not None:
                    return config
                if not self._coordinator.is_done:
                    return {"trial_id": None, "bell": str(self._bells / lane)}
            self._nodes.ended(lane)
            self._looks_again_at = 0.0
            return None

    @override
    def is_exhausted(self) -> bool:
        """Return whether no trial runs and none will."""
        return self._coordinator.end_if_done()

    @override
    def heard(self, lane: str, about: Json) -> None:
        """Take note of what a worker tells of its node."""
        with self._lock:
            self._nodes.heard(lane, about)

    @override
    def record(self, lane: str, trial_id: str, report: Json | None) -> bool:
        """Record a report; pause its trial if the node is about to leave."""
        if report is None:
            return True
        with self._lock:
            is_nodes_fault = self._nodes.is_nodes_fault(lane, report)
            is_leaving, name = self._nodes.is_leaving(lane), self._nodes.name(lane)
        try:
            has_ended = self._coordinator.record(trial_id, Result.parse(report, is_nodes_fault=is_nodes_fault))
            if not has_ended and is_leaving:
                self._coordinator.preempt(trial_id, LEAVING.format(name), Cause.PREEMPTED)
                return True
        except StaleAttemptError:
            return True
        return has_ended

    @override
    def crashed(self, lane: str, error_text: str) -> None:
        """Record that the lane's worker was lost; its cause decides if its trial is tried again."""
        with self._lock:
            trial_id = self._training.pop(lane, None)
            cause, reason = self._nodes.lost(lane, error_text, trains=trial_id is not None)
            self._nodes.ended(lane)
            self._looks_again_at = 0.0
        if trial_id is not None:
            self._coordinator.crashed(trial_id, reason, error_text, cause)

    @override
    def lanes_to_end(self) -> Collection[str]:
        """Return the lanes that wait for a worker in vain."""
        with self._lock:
            if self._coordinator.is_done:
                return self._nodes.starting
            return self._nodes.overdue(lambda: self._coordinator.startable > 0)

    @override
    def removed(self, lane: str) -> None:
        """Forget a lane that had no worker."""
        with self._lock:
            self._nodes.ended(lane)

    def _note_lack(self) -> str | None:
        """Return what to say if no node has been large enough for a while."""
        placements = self._nodes.placements
        if placements.fits_some(self._shape) or self._training:
            self._lacking_since, self._has_told = None, False
            return None
        if self._lacking_since is None:
            self._lacking_since = self._clock()
        waited = self._clock() - self._lacking_since
        if waited > PATIENCE_SECONDS:
            raise ResourcesError(
                f"resources: {placements.lacking(self._shape)}; no such node came within {PATIENCE_SECONDS / 60:g} "
                "minutes. Add one, or ask for less, and resume the sweep"
            )
        if self._has_told or waited < NOTICE_SECONDS:
            return None
        self._has_told = True
        return f"{placements.lacking(self._shape)}; the sweep waits for one"
