"""Places of lanes on nodes that come, go, leave and fail, without Ray."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service.clusters.placements import (
    ASIDE_SECONDS,
    MOST_FAILURES,
    ClusterNode,
    LaneShape,
    Place,
    Placements,
)

CORE = LaneShape(1.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def placements(clock: Clock) -> Placements:
    return Placements(clock=clock)


def node(name: str, cores: float, gpus: float = 0.0, accelerator: str | None = None) -> ClusterNode:
    return ClusterNode(id=name, name=name, cores=cores, gpus=gpus, accelerator=accelerator)


def places(placements: Placements, shape: LaneShape, count: int, prefix: str = "lane") -> list[str | None]:
    """Return the nodes of up to this many new lanes."""
    made = [placements.place(f"{prefix}-{number}", shape) for number in range(count)]
    return [place.node for place in made if place is not None]


def test_slots_are_counted_on_each_node_and_not_over_the_sum(placements: Placements) -> None:
    placements.follow([node("a", 3), node("b", 3)])
    assert placements.slots(LaneShape(2.0)) == 2, "6 cores in all would give 3"
    assert sorted(places(placements, LaneShape(2.0), 5), key=str) == ["a", "b"]


def test_lanes_spread_over_the_nodes_and_share_gpus_as_decided(placements: Placements) -> None:
    placements.follow([node("a", 8, 2), node("b", 8, 2), node("c", 32)])
    quarter = LaneShape(1.0, 0.25)
    assert places(placements, CORE, 2) == ["c", "c"], "nodes with GPUs are kept for lanes that need them"
    assert sorted(map(str, places(placements, quarter, 40, "gpu"))) == ["a"] * 8 + ["b"] * 8


def test_a_whole_gpu_fits_beside_a_shared_one_but_not_on_it(placements: Placements) -> None:
    placements.follow([node("a", 16, 2)])
    assert len(places(placements, LaneShape(1.0, 0.5), 1, "half")) == 1
    assert len(places(placements, LaneShape(1.0, 1.0), 3, "whole")) == 1
    assert len(places(placements, LaneShape(1.0, 0.5), 3, "other")) == 1


def test_a_kind_of_gpu_is_kept_to(placements: Placements) -> None:
    wanted = LaneShape(1.0, 1.0, "H100")
    placements.follow([node("a", 8, 4, "A10"), node("b", 8)])
    assert placements.place("lane", wanted) is None
    assert placements.lacking(wanted) == (
        "a trial asks for 1 core and 1 GPU of kind H100; the largest node, a, has 8 cores and 4 GPUs (A10)"
    )
    placements.follow([*placements.nodes, node("c", 8, 1, "H100")])
    assert placements.place("lane", wanted) == Place("c")


def test_one_lane_waits_for_a_node_and_has_the_first_place_on_it(placements: Placements) -> None:
    assert placements.lacking(CORE) == "a trial asks for 1 core; the cluster has no node that trains"
    assert placements.place("first", CORE, may_wait=True) == Place(None)
    assert placements.place("second", CORE, may_wait=True) is None
    assert placements.waiting == ["first"]
    placements.follow([node("a", 2)])
    assert places(placements, CORE, 3) == ["a"], "the place of the lane that waits stays free"
    placements.arrived("first", "a", "gpu-7", leaving=False)
    assert (placements.waiting, placements.name("a")) == ([], "gpu-7")
    assert placements.place("third", CORE) is None


def test_nodes_join_and_go_and_lanes_on_a_node_that_is_gone_are_stranded(placements: Placements) -> None:
    placements.follow([node("a", 1), node("b", 1)])
    places(placements, CORE, 2)
    placements.follow([node("b", 1), node("c", 2)])
    assert [placements.node_of(lane) for lane in placements.stranded()] == ["a"]
    for lane in placements.stranded():
        placements.ended(lane)
    assert places(placements, CORE, 9, "more") == ["c", "c"]


def test_a_node_that_is_about_to_leave_gets_no_lanes(placements: Placements) -> None:
    placements.follow([node("a", 2)])
    placements.place("lane", CORE)
    placements.arrived("lane", "a", "a", leaving=True)
    assert placements.problem("a") == "it is about to leave"
    assert placements.place("other", CORE) is None
    assert placements.stranded() == ["lane"]
    assert [(state.lanes, state.aside) for state in placements.states()] == [(1, False)]


def test_a_node_is_set_aside_after_failures_in_a_row_and_tried_again_later(
    placements: Placements, clock: Clock
) -> None:
    placements.follow([node("a", 1), node("b", 0.5)])
    assert [placements.failed("a", "no space"), placements.failed("a", "no space")] == [None, None]
    placements.succeeded("a")
    notices = [placements.failed("a", "no space left") for _ in range(MOST_FAILURES)]
    assert notices == [
        None,
        None,
        "node a gets no trials for 5 minutes, after 3 failures in a row; the last: no space left",
    ]
    assert placements.failed("a", "of a lane that was under way") is None
    assert places(placements, CORE, 2) == []
    assert [state.aside for state in placements.states()] == [True, False]
    assert not placements.fits_some(CORE)
    assert placements.lacking(CORE) == (
        "a trial asks for 1 core; no node with room for it can be used: "
        "a: it failed 3 times in a row; the last: no space left"
    )
    clock.now += ASIDE_SECONDS
    placements.follow(placements.nodes)
    assert places(placements, CORE, 2, "again") == ["a"]
    assert placements.failed("a", "still") is not None, "one further failure is enough"
    placements.follow([node("b", 1)])
    placements.follow([node("b", 1), node("a", 1)])
    assert placements.problem("a") is None, "it has joined again"


_SHAPES = st.builds(
    LaneShape,
    st.sampled_from([0.5, 1.0, 2.0, 3.0]),
    st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]),
    st.sampled_from([None, None, "H100"]),
)
_CLUSTER = [node("a", 1), node("b", 3, 1), node("c", 2, 2, "H100"), node("d", 8, 1, "H100"), node("e", 3)]
_NODES = st.lists(st.sampled_from(_CLUSTER), unique_by=lambda each: each.id, max_size=4)


class _ClusterMachine(RuleBasedStateMachine):
    """Lanes come and end, nodes come and go: nothing is ever given away twice."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.placements = Placements(clock=self.clock)
        self.shapes: dict[str, LaneShape] = {}
        self.made = 0

    @rule(nodes=_NODES)
    def nodes_change(self, nodes: list[ClusterNode]) -> None:
        self.placements.follow(nodes)
        for lane in self.placements.stranded():
            self.end(lane)

    @rule(shape=_SHAPES, may_wait=st.booleans())
    def a_lane_asks(self, shape: LaneShape, may_wait: bool) -> None:
        had_room, waited = self.placements.has_room(shape), self.placements.waiting
        self.made += 1
        place = self.placements.place(f"lane-{self.made}", shape, may_wait=may_wait)
        if place is not None:
            self.shapes[f"lane-{self.made}"] = shape
        assert (place is not None and place.node is not None) == had_room
        assert (place == Place(None)) == (not had_room and may_wait and not waited)

    @rule(data=st.data())
    def a_lane_ends(self, data: st.DataObject) -> None:
        if self.shapes:
            self.end(data.draw(st.sampled_from(sorted(self.shapes))))

    @rule(name=st.sampled_from("abcde"), works=st.booleans())
    def a_node_works_or_fails(self, name: str, works: bool) -> None:
        if works:
            self.placements.succeeded(name)
        else:
            self.placements.failed(name, "disk full")

    @rule(seconds=st.sampled_from([1.0, ASIDE_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    def end(self, lane: str) -> None:
        self.placements.ended(lane)
        del self.shapes[lane]

    @invariant()
    def nothing_is_given_away_twice(self) -> None:
        for each in self.placements.nodes:
            here = [shape for lane, shape in self.shapes.items() if self.placements.node_of(lane) == each.id]
            assert sum(shape.cpu for shape in here) <= each.cores + 1e-6
            assert sum(shape.gpu for shape in here) <= each.gpus + 1e-6
            assert all(shape.accelerator in (None, each.accelerator) for shape in here)
        assert len(self.placements.waiting) <= 1


TestCluster = _ClusterMachine.TestCase
TestCluster.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@given(
    nodes=st.lists(st.tuples(st.integers(1, 64), st.integers(0, 8)), max_size=6),
    cpu=st.sampled_from([0.5, 1.0, 2.0, 3.0, 5.0]),
    gpu=st.sampled_from([0.0, 0.25, 1 / 3, 1.0, 2.0]),
)
@settings(max_examples=60, deadline=None)
def test_lanes_of_one_shape_fill_every_slot(nodes: list[tuple[int, int]], cpu: float, gpu: float) -> None:
    placements, shape = Placements(), LaneShape(cpu, gpu)
    placements.follow([node(f"n{number}", cores, gpus) for number, (cores, gpus) in enumerate(nodes)])
    slots = placements.slots(shape)
    assert len(places(placements, shape, slots + 2)) == slots
    assert slots == sum(
        min(int(cores / cpu), int(gpus * int(1 / gpu + 1e-9)) if 0 < gpu <= 1 else int(gpus / gpu) if gpu else 10**6)
        for cores, gpus in nodes
    )
