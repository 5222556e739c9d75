"""The pool of lanes and the drivers' end of it, over a real socket, without Ray."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from multiprocessing.connection import Client
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.clusters import Allotment
from service.clusters.placements import ClusterNode, LaneShape
from service.drivers import lane_pool, pool_drivers
from service.drivers.lane_pool import KEEP_SECONDS, STAY_SECONDS, LanePool, SweepFacts
from service.drivers.messages import Join, ask_status, look_from_workers
from service.drivers.pool_client import train_in_pool
from service.drivers.pool_drivers import ANSWER_SECONDS, QUICK_SECONDS, SHORTEST_SECONDS, Patience
from service.drivers.pool_nodes import LACK_SECONDS
from trainables.processes import Rendezvous

DONE = {"history": [], "done_training": True}
GOING_ON = {"history": [], "done_training": False}


class Coordinator:
    """Hands out so many trials; a trial ends with a report that says so."""

    def __init__(self, sweep_id: str, trials: int) -> None:
        self.sweep = SimpleNamespace(id=sweep_id)
        self.left = [f"{sweep_id}-{number:04d}" for number in range(trials)]
        self.at_work: list[str] = []
        self.ended: list[str] = []
        self.preempted: list[str] = []
        self.crashes: list[str] = []
        self.notices: list[str] = []
        self.closing: str | None = None

    @property
    def running(self) -> list[Any]:
        return [SimpleNamespace(id=trial_id) for trial_id in self.at_work]

    @property
    def is_done(self) -> bool:
        return not self.at_work and (not self.left or self.closing is not None)

    @property
    def startable(self) -> int:
        return 0 if self.closing else len(self.left)

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def next_trial(self, node: str | None = None) -> Any:
        self.node = node
        if not self.left or self.closing:
            return None
        self.at_work.append(self.left.pop(0))
        return SimpleNamespace(id=self.at_work[-1])

    def record(self, trial_id: str, result: Any) -> bool:
        if result.done:
            self.at_work.remove(trial_id)
            self.ended.append(trial_id)
        return bool(result.done)

    def crashed(self, trial_id: str, _reason: str, _text: str, _cause: object) -> None:
        self.crashes.append(trial_id)
        self.at_work.remove(trial_id)
        self.left.append(trial_id)

    def preempt(self, trial_id: str, _reason: str, _cause: object = None) -> None:
        self.at_work.remove(trial_id)
        self.preempted.append(trial_id)
        self.left.append(trial_id)

    def end_if_done(self) -> bool:
        return self.is_done

    def close(self, reason: str) -> None:
        self.closing = reason

    def leave(self, _reason: str) -> None:
        self.at_work.clear()


class Service:
    """A pool with two cores, and drivers in threads. here: whether it is no cluster."""

    def __init__(self, folder: Path, *, here: bool = True) -> None:
        self.nodes = [ClusterNode(id="a", name="a", cores=2.0)]
        self.folder, self.facts = folder, dict[str, SweepFacts]()
        self.now = 0.0
        self.address = str(folder / "pool")
        self.threads: list[threading.Thread] = []
        self.pool = LanePool(
            self.address,
            default=lambda _cpus, _gpus: LaneShape(1.0),
            read_facts=lambda ids: {name: self.facts[name] for name in ids if name in self.facts},
            read_nodes=lambda: self.nodes,
            here=here,
            clock=lambda: self.now,
        )

    def drive(self, sweep_id: str, trials: int, *, cpu: float = 1.0, owner: str = "alice", **facts: Any) -> Coordinator:
        """Have a driver join the pool, and wait until it has."""
        coordinator: Any = Coordinator(sweep_id, trials)
        self.facts[sweep_id] = SweepFacts(owner=owner, **facts)
        plan: Any = SimpleNamespace()

        def train() -> None:
            train_in_pool(
                coordinator,
                address=self.address,
                fork_server="",
                home=self.folder,
                allotment=Allotment(cpu=cpu, gpu=0.0, slots=2),
                make_plan=lambda _trial: plan,
                folder=self.folder,
                poll=lambda: None,
                breakable=nullcontext,
            )

        self.threads.append(threading.Thread(target=train, daemon=True))
        self.threads[-1].start()
        wait_for(lambda: sweep_id in self.pool._drivers)
        made: Coordinator = coordinator
        return made

    def lane(self, name: str) -> str:
        assert self.pool.first_config(name) is not None
        return name

    def next(self, lane: str) -> str | None:
        config = self.pool.next_config(lane)
        assert config is not None
        return None if config["trial_id"] is None else str(config["trial_id"])


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    with made.pool.open():
        yield made
        made.pool.close()


def test_lanes_are_made_up_to_the_size_of_the_cluster(service: Service) -> None:
    assert [service.pool.first_config(name) is not None for name in "abc"] == [True, True, False]
    assert ask_status(service.address).lanes == 2
    assert service.next("a") is None, "a lane without a trial waits"
    assert ask_status(service.address).ready == 1


def test_a_lane_trains_one_trial_after_another_until_the_sweep_is_done(service: Service) -> None:
    lane = service.lane("a")
    sweep = service.drive("s-1", 2)
    assert service.next(lane) == "s-1-0000"
    assert not service.pool.record(lane, "s-1-0000", GOING_ON)
    assert service.pool.record(lane, "s-1-0000", DONE)
    assert service.next(lane) == "s-1-0001"
    assert service.pool.record(lane, "s-1-0001", DONE)
    service.threads[0].join(20.0)
    assert sweep.ended == ["s-1-0000", "s-1-0001"]
    assert service.next(lane) is None
    wait_for(lambda: not service.pool._drivers)


def test_free_lanes_go_to_different_owners(service: Service) -> None:
    lanes = [service.lane("a"), service.lane("b")]
    service.drive("s-1", 9, owner="alice")
    service.drive("s-2", 9, owner="bob")
    assert {str(service.next(lane))[:3] for lane in lanes} == {"s-1", "s-2"}


def test_a_higher_priority_pauses_a_trial_at_its_report_and_the_trial_goes_on_later(service: Service) -> None:
    lane = service.lane("a")
    first = service.drive("s-1", 1)
    assert service.next(lane) == "s-1-0000"
    service.drive("s-2", 1, owner="bob", priority=5)
    assert service.pool.record(lane, "s-1-0000", GOING_ON), "it ends here for now"
    assert first.preempted == ["s-1-0000"]
    assert service.next(lane) == "s-2-0000"
    assert service.pool.record(lane, "s-2-0000", DONE)
    assert service.next(lane) == "s-1-0000"


def test_a_lane_goes_to_the_sweep_for_which_its_trial_paused_though_it_would_stay_otherwise(service: Service) -> None:
    lane = service.lane("a")
    first = service.drive("s-1", 3)
    assert service.next(lane) == "s-1-0000"
    service.drive("s-2", 3)
    service.now = STAY_SECONDS / 2
    assert service.pool.record(lane, "s-1-0000", GOING_ON), "a new sweep of the same user waits"
    assert first.preempted == ["s-1-0000"]
    assert service.next(lane) == "s-2-0000"
    assert service.pool.record(lane, "s-2-0000", DONE)
    assert service.next(lane) == "s-2-0001", "the promise was for one trial, now the lane stays"


def test_a_higher_priority_comes_before_the_sweep_for_which_a_trial_paused(service: Service) -> None:
    lane = service.lane("a")
    service.drive("s-1", 3)
    assert service.next(lane) == "s-1-0000"
    service.drive("s-2", 3)
    service.now = STAY_SECONDS / 2
    assert service.pool.record(lane, "s-1-0000", GOING_ON)
    service.drive("s-3", 1, owner="bob", priority=1)
    assert service.next(lane) == "s-3-0000"


def test_a_cap_that_is_lowered_ends_a_lane_at_its_next_report(service: Service) -> None:
    lanes = [service.lane("a"), service.lane("b")]
    sweep = service.drive("s-1", 5)
    for lane in lanes:
        service.next(lane)
    service.facts["s-1"] = SweepFacts(owner="alice", slot_cap=1)
    wait_for(lambda: service.pool._drivers["s-1"].facts.slot_cap == 1)
    assert service.pool.record("a", "s-1-0000", GOING_ON)
    assert sweep.preempted == ["s-1-0000"]
    assert service.next("a") is None
    assert not service.pool.record("b", "s-1-0001", GOING_ON)


def test_a_lost_worker_is_told_to_its_driver_and_another_lane_is_made(service: Service) -> None:
    lane = service.lane("a")
    sweep = service.drive("s-1", 1)
    service.next(lane)
    service.pool.crashed(lane, "the worker died")
    assert sweep.crashes == ["s-1-0000"]
    assert service.next(service.lane("b")) == "s-1-0000"


def test_a_sweep_with_larger_trials_gets_a_larger_lane(service: Service) -> None:
    lanes = [service.lane("a"), service.lane("b")]
    service.drive("s-1", 1, cpu=2.0)
    assert [service.pool.next_config(lane) for lane in lanes] == [None, None], "they make room"
    config = service.pool.first_config("c")
    assert config is not None
    assert config["bundle"] == {"CPU": 2.0}
    assert service.next("c") == "s-1-0000"


def test_a_driver_that_leaves_has_its_trials_given_up(service: Service, tmp_path: Path) -> None:
    lane = service.lane("a")
    sweep = service.drive("s-1", 3)
    config = service.pool.next_config(lane)
    assert config is not None
    sweep.at_work.clear()
    sweep.close("paused by SIGTERM")
    service.threads[0].join(20.0)
    wait_for(lambda: not service.pool._drivers)
    assert Rendezvous(**config["rendezvous"]).is_abandoned()
    assert service.pool.record(lane, "s-1-0000", None)
    assert service.next(lane) is None


def test_a_trial_that_asks_for_more_than_there_is_is_refused(service: Service) -> None:
    from service.errors import ClusterError

    coordinator: Any = Coordinator("s-1", 1)
    service.facts["s-1"] = SweepFacts(owner="alice")
    with pytest.raises(ClusterError, match="a trial asks for 8 cores and 0 GPUs; the cluster has 2 and 0"):
        train_in_pool(
            coordinator,
            address=service.address,
            fork_server="",
            home=service.folder,
            allotment=Allotment(cpu=8.0, gpu=0.0, slots=1),
            make_plan=lambda _trial: SimpleNamespace(),  # type: ignore[arg-type, return-value]
            folder=service.folder,
            poll=lambda: None,
            breakable=nullcontext,
        )


def test_workers_of_this_machine_see_what_it_sees(service: Service, tmp_path: Path) -> None:
    assert look_from_workers(service.address, [str(tmp_path), str(tmp_path / "missing")]) == []


def test_a_driver_that_hangs_holds_the_lanes_for_a_bounded_time_and_not_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_drivers, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(pool_drivers, "SHORTEST_SECONDS", 0.2)
    monkeypatch.setattr(pool_drivers, "QUICK_SECONDS", 0.0)
    lane = service.lane("a")
    hung = Join(sweep_id="s-1", cpu=1.0, gpu=0.0, wanted=5, rendezvous=str(service.folder))
    service.facts["s-1"] = SweepFacts(owner="alice", priority=1)
    for turn, (shortest, longest) in enumerate(((0.9, 5.0), (0.0, 0.8))):
        with Client(service.address, "AF_UNIX") as connection:
            connection.send(hung)
            assert connection.recv().refusal is None
            wait_for(lambda: "s-1" in service.pool._drivers)
            if turn == 0:
                service.drive("s-2", 4, owner="bob")
            began = time.monotonic()
            assert str(service.next(lane)).startswith("s-2"), "the other sweep is served"
            assert shortest <= time.monotonic() - began < longest
            assert ask_status(service.address).busy == 1
            assert service.pool.record(lane, f"s-2-{turn:04d}", DONE)
        wait_for(lambda: "s-1" not in service.pool._drivers)


def test_a_process_that_connects_and_says_nothing_keeps_nobody_out_for_long(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_pool, "GREETING_SECONDS", 0.2)
    with Client(service.address, "AF_UNIX"):
        assert ask_status(service.address).lanes == 0


def test_patience_is_used_up_by_slow_answers_and_comes_back() -> None:
    now = 0.0
    patience = Patience(lambda: now)
    patience.spend(QUICK_SECONDS)
    assert patience.is_whole
    patience.spend(6.0)
    assert patience.seconds == ANSWER_SECONDS - 6.0 + QUICK_SECONDS
    patience.spend(6.0)
    assert patience.seconds == SHORTEST_SECONDS
    used_up = [patience.is_used_up]
    now = 11.0
    used_up.append(patience.is_used_up)
    assert used_up == [True, False]
    now = 200.0
    assert patience.is_whole


def test_a_lane_that_was_given_up_for_a_sweep_goes_to_that_sweep(service: Service) -> None:
    lane = service.lane("a")
    service.drive("s-1", 1)
    assert service.next(lane) == "s-1-0000"
    service.drive("s-2", 1, owner="bob", priority=5)
    assert service.pool.record(lane, "s-1-0000", GOING_ON)
    service.drive("s-3", 1, owner="carol", priority=5)
    assert service.next(lane) == "s-2-0000"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Service]:
    """Yield a pool on a cluster whose nodes, `nodes`, a test changes."""
    made = Service(tmp_path, here=False)
    made.now = 1.0
    with made.pool.open():
        yield made
        made.pool.close()


def about(node: str, *, leaving: bool = False) -> dict[str, Any]:
    return {"id": node, "name": node, "leaving": leaving}


def test_lanes_of_a_cluster_follow_its_nodes(cluster: Service) -> None:
    cluster.nodes = []
    wait_for(lambda: ask_status(cluster.address).cpus == 0)
    assert cluster.pool.first_config("a") is None, "no sweep wants a lane"
    sweep = cluster.drive("s-1", 9, cpu=2.0)
    cluster.now += 1.0
    config = cluster.pool.first_config("b")
    assert config is not None
    assert (config["bundle"], config["labels"]) == ({"CPU": 2.0}, {}), "an autoscaler sees the demand"
    wait_for(lambda: bool(cluster.pool._lacks._since))
    cluster.now += LACK_SECONDS
    wait_for(lambda: bool(sweep.notices))
    assert sweep.notices == ["a trial asks for 2 cores; the cluster has no node that trains; the sweep waits for one"]
    cluster.nodes = [ClusterNode(id=name, name=name, cores=3.0) for name in "xy"]
    wait_for(lambda: ask_status(cluster.address).cpus == 6)
    cluster.now += 1.0
    config = cluster.pool.first_config("c")
    assert config is not None
    node = config["labels"]["ray.io/node-id"]
    cluster.pool.heard("b", about("x" if node == "y" else "y"))
    cluster.pool.heard("c", about(node))
    assert {cluster.next("b"), cluster.next("c")} == {"s-1-0000", "s-1-0001"}
    assert sweep.node == node, "the trial's attempt has the name of its node"
    cluster.now += 1.0
    config = cluster.pool.first_config("d")
    assert config is not None
    assert config["labels"] == {}, "2 slots, not 3; one more lane waits for a node"
    assert [node["lanes"] for node in ask_status(cluster.address).nodes] == [1, 1]


def test_trials_move_from_a_node_that_leaves_and_a_lost_node_costs_a_retry_of_its_own_kind(cluster: Service) -> None:
    cluster.nodes = [ClusterNode(id=name, name=name, cores=1.0) for name in "xy"]
    sweep = cluster.drive("s-1", 2)
    wait_for(lambda: ask_status(cluster.address).nodes[0]["name"] == "x")
    places = {}
    for lane in "ab":
        cluster.now += 1.0
        config = cluster.pool.first_config(lane)
        assert config is not None
        places[config["labels"]["ray.io/node-id"]] = lane
    for node, lane in sorted(places.items()):
        cluster.pool.heard(lane, about(node))
        assert cluster.next(lane) is not None
    cluster.pool.heard(places["x"], about("x", leaving=True))
    assert cluster.pool.record(places["x"], "s-1-0000", GOING_ON)
    assert sweep.preempted == ["s-1-0000"]
    assert cluster.pool.next_config(places["x"]) is None, "the lane ends"
    cluster.nodes = cluster.nodes[:1]
    wait_for(lambda: len(ask_status(cluster.address).nodes) == 1)
    cluster.pool.crashed(places["y"], "unknown words")
    assert sweep.crashes == ["s-1-0001"]
    assert ask_status(cluster.address).lanes == 0


def test_lanes_that_no_sweep_wants_give_their_nodes_back_after_a_while(cluster: Service) -> None:
    assert cluster.pool.first_config("a") is not None, "a service that starts has lanes ready"
    cluster.pool.heard("a", about("a"))
    assert cluster.next("a") is None
    cluster.now += KEEP_SECONDS + 1
    assert cluster.pool.next_config("a") is None
    assert cluster.pool.first_config("b") is None


def test_a_sweep_that_waits_for_a_larger_node_keeps_no_other_from_the_nodes_there_are(cluster: Service) -> None:
    cluster.drive("s-1", 1, cpu=64.0, priority=5)
    cluster.drive("s-2", 2, owner="bob")
    shapes = []
    for lane in "abcd":
        cluster.now += 1.0
        config = cluster.pool.first_config(lane)
        shapes.append(None if config is None else (config["bundle"]["CPU"], bool(config["labels"])))
    assert shapes == [(1.0, True), (1.0, True), (64.0, False), None], "one lane waits, two are bound to the node"
    for lane in "ab":
        cluster.pool.heard(lane, about("a"))
    assert {cluster.next(lane) for lane in "ab"} == {"s-2-0000", "s-2-0001"}
    cluster.now += 1.0
    assert cluster.pool.lanes_to_end() == []
    cluster.pool._drop(cluster.pool._drivers["s-1"])
    cluster.now += 1.0
    assert cluster.pool.lanes_to_end() == ["c"], "nobody wants the lane that waits any longer"


def test_no_lane_waits_for_a_node_while_those_that_start_suffice(cluster: Service) -> None:
    cluster.drive("s-1", 2)
    made = []
    for lane in "abc":
        cluster.now += 1.0
        made.append(cluster.pool.first_config(lane) is not None)
    assert made == [True, True, False]
