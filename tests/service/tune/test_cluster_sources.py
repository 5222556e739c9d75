"""A sweep's trials on the nodes of a cluster: places, lost, bad and leaving nodes, without Ray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.clusters.placements import MOST_FAILURES, ClusterNode, LaneShape
from service.errors import ResourcesError
from service.ledgers import Cause
from service.tune.cluster_sources import NOTICE_SECONDS, PATIENCE_SECONDS, ClusterSource
from service.tune.node_lanes import LOOK_SECONDS, START_SECONDS

DONE = {"history": [{"epoch": 1, "seconds": 1.0, "recorded_at": 1, "readings": {}}], "done_training": True}
GOING_ON = DONE | {"done_training": False}
BAD = {
    "history": [],
    "done_training": True,
    "error": "gpu-2: its images differ",
    "trace": "Traceback\ntrainables.errors.NodeError: gpu-2: its images differ",
}


class Coordinator:
    """Hands out this number of trials, and notes what it is told."""

    def __init__(self, trials: int) -> None:
        self.sweep = SimpleNamespace(id="s")
        self.left = [f"s-{number:04d}" for number in range(trials)]
        self.running: dict[str, str | None] = {}
        self.ended: list[str] = []
        self.crashes: list[tuple[str, str, Cause]] = []
        self.preempted: list[tuple[str, str, Cause]] = []
        self.notices: list[str] = []

    @property
    def startable(self) -> int:
        return len(self.left)

    @property
    def is_done(self) -> bool:
        return not self.left and not self.running

    def end_if_done(self) -> bool:
        return self.is_done

    def next_trial(self, node: str | None) -> Any:
        if not self.left:
            return None
        trial_id = self.left.pop(0)
        self.running[trial_id] = node
        return SimpleNamespace(id=trial_id)

    def record(self, trial_id: str, result: Any) -> bool:
        if result.passing_cause is not None:
            self.crashed(trial_id, result.error, "", result.passing_cause)
            return True
        if result.done:
            del self.running[trial_id]
            self.ended.append(trial_id)
        return bool(result.done)

    def crashed(self, trial_id: str, reason: str, _text: str, cause: Cause) -> None:
        del self.running[trial_id]
        self.left.append(trial_id)
        self.crashes.append((trial_id, reason, cause))

    def preempt(self, trial_id: str, reason: str, cause: Cause) -> None:
        del self.running[trial_id]
        self.left.insert(0, trial_id)
        self.preempted.append((trial_id, reason, cause))

    def notice(self, text: str) -> None:
        self.notices.append(text)


class Cluster:
    """A source over nodes and workers that a test moves by hand."""

    def __init__(self, trials: int, nodes: dict[str, float], *, cpu: float = 1.0) -> None:
        self.now = 0.0
        self.coordinator = Coordinator(trials)
        coordinator: Any = self.coordinator
        self.source = ClusterSource(
            coordinator,
            lambda trial: {"trial_id": trial.id},
            shape=LaneShape(cpu),
            bells=Path("bells"),
            clock=lambda: self.now,
        )
        self.nodes(nodes)
        self.made = 0

    def nodes(self, nodes: dict[str, float]) -> None:
        self.source.follow([ClusterNode(id=name, name=name, cores=cores) for name, cores in nodes.items()])

    def make_lanes(self) -> dict[str, str]:
        """Return the new lanes for which there is room, with the node on which each is to be; "" for any."""
        lanes: dict[str, str] = {}
        while True:
            self.made += 1
            self.now += 2.0
            config = self.source.first_config(f"lane-{self.made}")
            if config is None:
                return lanes
            assert config["trial_id"] is None, "no trial has begun while its worker starts"
            lanes[f"lane-{self.made}"] = config["labels"].get("ray.io/node-id", "")

    def start(self, lane: str, node: str, *, leaving: bool = False) -> Any:
        """Have a lane's worker come up on a node; return what it does next."""
        self.source.heard(lane, {"id": node, "name": f"name-of-{node}", "leaving": leaving})
        return self.source.next_config(lane)


def test_lanes_are_made_where_they_fit_as_nodes_come(tmp_path: Path) -> None:
    cluster = Cluster(9, {"a": 3, "b": 3}, cpu=2.0)
    lanes = cluster.make_lanes()
    assert sorted(lanes.values()) == ["", "a", "b"], "one more waits, so that an autoscaler sees the demand"
    waiting = next(lane for lane, node in lanes.items() if not node)
    cluster.nodes({"a": 3, "b": 3, "c": 4})
    assert list(cluster.make_lanes().values()) == ["c", ""][:1], "the lane that waits has the other place there"
    assert cluster.start(waiting, "c") == {"trial_id": "s-0000"}
    assert cluster.coordinator.running == {"s-0000": "name-of-c"}


def test_no_more_lanes_are_made_than_there_are_trials() -> None:
    cluster = Cluster(2, {"a": 8})
    assert list(cluster.make_lanes().values()) == ["a", "a"]
    for lane in ("lane-1", "lane-2"):
        cluster.start(lane, "a")
    assert cluster.make_lanes() == {}
    assert cluster.source.record("lane-1", "s-0000", DONE)
    idle = cluster.source.next_config("lane-1")
    assert idle == {"trial_id": None, "bell": "bells/lane-1"}, "the other trial may have to be tried again"
    assert not cluster.source.is_exhausted()
    assert cluster.source.record("lane-2", "s-0001", DONE)
    assert cluster.source.next_config("lane-2") is None
    assert cluster.source.is_exhausted()


@pytest.mark.parametrize("trains", [True, False])
def test_a_lost_node_ends_its_lanes_and_its_trials_go_on_elsewhere(trains: bool) -> None:
    cluster = Cluster(3, {"a": 1, "b": 1})
    cluster.make_lanes()
    lanes = {cluster.source._nodes.placements.node_of(lane): lane for lane in ("lane-1", "lane-2")}
    cluster.start(lanes["a"], "a")
    if trains:
        cluster.start(lanes["b"], "b")
    cluster.nodes({"a": 1})
    if not trains:
        assert cluster.source.lanes_to_end() == [lanes["b"]], "its worker will never start"
        cluster.source.removed(lanes["b"])
        cluster.now += LOOK_SECONDS
        assert cluster.source.lanes_to_end() == []
        return
    cluster.source.crashed(lanes["b"], "something that Ray has never written before")
    assert cluster.coordinator.crashes == [("s-0001", "node name-of-b was lost", Cause.LOST_NODE)]
    assert cluster.source.record(lanes["a"], "s-0000", DONE)
    assert cluster.source.next_config(lanes["a"]) == {"trial_id": "s-0002"}


def test_a_bad_node_is_set_aside_and_its_trials_do_not_pay() -> None:
    cluster = Cluster(9, {"a": 1, "b": 1})
    lanes = {node: lane for lane, node in cluster.make_lanes().items()}
    cluster.start(lanes["a"], "a")
    config = cluster.start(lanes["b"], "b")
    for _ in range(MOST_FAILURES):
        assert config is not None
        assert cluster.source.record(lanes["b"], config["trial_id"], BAD)
        config = cluster.source.next_config(lanes["b"])
    assert config is None, "the lane ends"
    cluster.nodes({"a": 1, "b": 1})
    assert cluster.coordinator.notices == [
        "node name-of-b gets no trials for 5 minutes, after 3 failures in a row; the last: gpu-2: its images differ"
    ]
    assert [cause for *_, cause in cluster.coordinator.crashes] == [Cause.BAD_NODE] * MOST_FAILURES
    assert list(cluster.make_lanes().values()) == []
    assert not cluster.source.record(lanes["a"], "s-0000", GOING_ON)


def test_a_full_disk_is_its_nodes_fault_and_an_error_of_a_trial_is_not() -> None:
    cluster = Cluster(9, {"a": 1})
    (lane,) = [lane for lane, node in cluster.make_lanes().items() if node]
    cluster.start(lane, "a")
    full = BAD | {"error": "OSError: [Errno 28] No space left on device", "trace": "OSError: [Errno 28]"}
    assert cluster.source.record(lane, "s-0000", full)
    assert cluster.coordinator.crashes[-1][2] is Cause.BAD_NODE
    cluster.source.next_config(lane)
    own = BAD | {"error": "ValueError: betas", "trace": "ValueError: betas"}
    assert cluster.source.record(lane, "s-0001", own)
    assert cluster.coordinator.ended == ["s-0001"], "the real coordinator lets it fail"


def test_a_node_on_which_no_worker_starts_is_set_aside() -> None:
    cluster = Cluster(1, {"a": 1})
    for attempt in range(MOST_FAILURES):
        lanes = list(cluster.make_lanes())
        if attempt == 0:
            cluster.source.crashed(lanes[0], "The actor died unexpectedly before finishing this task.")
            continue
        cluster.now += START_SECONDS + 1
        assert cluster.source.lanes_to_end() == lanes
        cluster.now += LOOK_SECONDS
        assert cluster.source.lanes_to_end() == [], "counted once"
        cluster.source.removed(lanes[0])
    cluster.nodes({"a": 1})
    (notice,) = cluster.coordinator.notices
    assert "no worker started within 120 s" in notice


def test_a_trial_on_a_node_that_is_about_to_leave_goes_on_elsewhere_and_uses_up_no_retry() -> None:
    cluster = Cluster(2, {"a": 1, "b": 1})
    lanes = {node: lane for lane, node in cluster.make_lanes().items()}
    cluster.start(lanes["a"], "a")
    cluster.start(lanes["b"], "b")
    cluster.source.heard(lanes["b"], {"id": "b", "name": "b", "leaving": True})
    assert cluster.source.record(lanes["b"], "s-0001", GOING_ON)
    assert cluster.coordinator.preempted == [("s-0001", "its node, b, is about to leave", Cause.PREEMPTED)]
    assert cluster.source.next_config(lanes["b"]) is None
    assert list(cluster.make_lanes().values()) == ["!in(b)"]
    assert cluster.source.record(lanes["a"], "s-0000", DONE)
    assert cluster.source.next_config(lanes["a"]) == {"trial_id": "s-0001"}
    assert cluster.source.lanes_to_end() == ["lane-4"], "no lane needs to wait for a node any longer"


@pytest.mark.parametrize("nodes", [{}, {"a": 2.0}], ids=["no node", "small nodes"])
def test_a_sweep_waits_for_a_node_that_is_large_enough_and_gives_up_after_a_while(nodes: dict[str, float]) -> None:
    cluster = Cluster(2, nodes, cpu=4.0)
    assert list(cluster.make_lanes().values()) == [""]
    steps: list[Callable[[], None]] = [lambda: cluster.nodes(nodes)] * 3
    for step in steps:
        cluster.now += NOTICE_SECONDS
        step()
    there = "the largest node, a, has 2 cores" if nodes else "the cluster has no node that trains"
    assert cluster.coordinator.notices == [f"a trial asks for 4 cores; {there}; the sweep waits for one"]
    cluster.now += PATIENCE_SECONDS
    with pytest.raises(ResourcesError, match="no such node came within 10 minutes"):
        cluster.nodes(nodes)
    cluster.nodes({"b": 4.0})
