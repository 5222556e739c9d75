"""The choice of the Tune lane that trains the next trial, without Ray."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial as TuneTrial

from service.tune import lanes as tune_bridge
from service.tune.lanes import START_SECONDS, TuneBridge
from service.tune.sources import CoordinatorSource

HERE = {"id": "a", "name": "a", "leaving": False}


class Trials:
    """A coordinator with this number of trials, which ends each at its first report."""

    def __init__(self, trials: int) -> None:
        self.left = [SimpleNamespace(id=f"s-{number:04d}") for number in range(trials)]
        self.sweep = SimpleNamespace(id="s")
        self.recorded: list[str] = []

    def next_trial(self, _node: str | None = None) -> Any:
        return self.left.pop(0) if self.left else None

    def record(self, trial_id: str, _result: object) -> bool:
        self.recorded.append(trial_id)
        return True

    def close(self, reason: str) -> None:
        raise AssertionError(reason)


class Worker:
    def __init__(self) -> None:
        self.configs: list[object] = []
        self.follow = SimpleNamespace(remote=self.configs.append)


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Lane(SimpleNamespace):
    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


def lane(name: str, status: str) -> Any:
    return Lane(trial_id=name, status=status, temporary_state=SimpleNamespace(ray_actor=Worker()))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tune_bridge, "time", clock)
    return clock


def bridge_of(coordinator: Trials, ends: list[str]) -> TuneBridge:
    made: Any = coordinator
    return TuneBridge(
        CoordinatorSource(made, lambda trial: {"trial_id": trial.id}, when_exhausted=lambda: ends.append("exhausted"))
    )


def report(bridge: TuneBridge, lane: Any, *others: Any) -> str:
    controller = SimpleNamespace(get_live_trials=lambda: {lane, *others})
    source = bridge.source
    assert isinstance(source, CoordinatorSource)
    result = {"report": [source._training[lane.trial_id], {"history": [], "done_training": True}, HERE]}
    return bridge.scheduler.on_trial_result(controller, lane, result)


def test_a_lane_goes_on_with_the_next_trial_until_there_is_none(clock: Clock) -> None:
    coordinator, ends = Trials(3), list[str]()
    bridge = bridge_of(coordinator, ends)
    only = lane("a", TuneTrial.RUNNING)
    assert bridge.searcher.suggest("a") == {"trial_id": "s-0000"}
    assert [report(bridge, only) for _ in range(3)] == ["CONTINUE", "CONTINUE", "STOP"]
    assert only.temporary_state.ray_actor.configs == [{"trial_id": "s-0001"}, {"trial_id": "s-0002"}]
    assert (coordinator.recorded, ends) == (["s-0000", "s-0001", "s-0002"], ["exhausted"])


def test_a_lane_that_finds_no_place_is_given_the_worker_of_one_that_ends_a_trial(clock: Clock) -> None:
    coordinator = Trials(5)
    bridge = bridge_of(coordinator, [])
    first, second = lane("a", TuneTrial.RUNNING), lane("b", TuneTrial.PENDING)
    bridge.searcher.suggest("a")
    bridge.searcher.suggest("b")
    assert report(bridge, first, second) == "CONTINUE", "it may be starting"
    clock.now += START_SECONDS + 1
    assert report(bridge, first, second) == "STOP"
    assert len(coordinator.left) == 2, "no trial was taken for a lane that ends"
    second.status = TuneTrial.RUNNING
    assert report(bridge, second) == "CONTINUE"


def test_without_a_way_to_the_worker_a_lane_ends_and_the_next_lane_gets_the_next_trial() -> None:
    """Check the fallback for versions of Ray Tune without the private name."""
    bridge = bridge_of(Trials(2), [])
    bridge.searcher.suggest("a")
    unknown: Any = Lane(trial_id="a", status=TuneTrial.RUNNING)
    controller = SimpleNamespace()
    ended = {"report": ["s-0000", {"history": [], "done_training": True}, HERE]}
    assert bridge.scheduler.on_trial_result(controller, unknown, ended) == "STOP"
    assert bridge.searcher.suggest("b") == {"trial_id": "s-0001"}


def test_tune_is_made_to_forget_the_results_of_steps_from_time_to_time(clock: Clock) -> None:
    ended = set(range(5))
    manager = SimpleNamespace(
        _tracked_actors_to_task_futures={"actor": ended}, _actor_task_events=SimpleNamespace(get_futures=lambda: [4])
    )
    bridge = bridge_of(Trials(1), [])
    for _ in range(tune_bridge._REPORTS_KEPT):
        assert ended == set(range(5))
        bridge.scheduler.on_trial_result(
            SimpleNamespace(_actor_manager=manager), lane("a", "RUNNING"), {"report": [None, None, HERE]}
        )
    assert ended == {4}
