"""Private names of Ray, which are used if Ray has them; otherwise the public way is taken."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ray._private import node
from ray.air.execution import FixedResourceManager
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.tune.execution import class_cache
from ray.tune.execution.tune_controller import TuneController

from service.clusters import ray_internals


def test_parts_of_ray_are_left_out_if_it_still_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Node:
        def start_monitor(self) -> None:
            started.append("monitor")

        def start_log_monitor(self) -> None:
            started.append("log monitor")

        def start_api_server(self, **_options: object) -> None:
            started.append("server")

    monkeypatch.setattr(node, "Node", Node)
    assert ray_internals.skip_unused_parts()
    Node().start_monitor()
    Node().start_api_server(include_dashboard=False)
    assert started == []


def test_a_ray_with_other_steps_starts_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "Node", type("Node", (), {"start_everything": lambda _self: None}))
    assert not ray_internals.skip_unused_parts()
    monkeypatch.setitem(sys.modules, "ray._private.node", ModuleType("ray._private.node"))
    assert not ray_internals.skip_unused_parts()


def test_the_installed_ray_has_the_names() -> None:
    """Check the private names: without them sweeps are slower, not wrong."""
    assert all(hasattr(node.Node, step) for step in ray_internals._UNUSED_PARTS)
    assert isinstance(class_cache.DEFAULT_ENV_VARS, dict)
    assert class_cache.ENV_VARS_TO_PROPAGATE is not None


def test_actors_of_another_tune_start_new_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"A": "1"}
    monkeypatch.setattr(class_cache, "DEFAULT_ENV_VARS", variables)
    monkeypatch.delattr(class_cache, "ENV_VARS_TO_PROPAGATE")
    assert not ray_internals.use_prestarted_workers()
    assert variables == {"A": "1"}


def test_a_tune_that_keeps_its_actors_elsewhere_gives_none() -> None:
    assert ray_internals.actor_of(SimpleNamespace()) is None
    assert ray_internals.actor_of(SimpleNamespace(temporary_state=SimpleNamespace())) is None
    assert list(ray_internals.live_lanes(SimpleNamespace())) == []


def test_lanes_that_wait_for_a_worker_are_ended_if_tune_still_lets_schedulers_do_so() -> None:
    ended = list[str]()
    lanes = [SimpleNamespace(trial_id=name, status=status) for name, status in (("a", "PENDING"), ("b", "RUNNING"))]
    tune = SimpleNamespace(get_live_trials=lambda: lanes, stop_trial=lambda lane: ended.append(lane.trial_id))
    assert ray_internals.end_waiting(tune, ["a", "b", "c"]) == ["a"]
    assert ended == ["a"]
    assert ray_internals.end_waiting(SimpleNamespace(), ["a"]) == []
    assert hasattr(TuneController, "stop_trial")


def test_results_of_steps_that_have_ended_are_let_go() -> None:
    """Ask the installed Tune's own manager of actors, which keeps them as long as the actor lives."""
    manager: Any = RayActorManager(resource_manager=FixedResourceManager(total_resources={"CPU": 1}))
    ended, awaited = object(), object()
    manager._actor_task_events.track_future(awaited, on_result=print, on_error=print)
    manager._tracked_actors_to_task_futures["actor"] |= {ended, awaited}
    assert ray_internals.forget_results(SimpleNamespace(_actor_manager=manager))
    assert manager._tracked_actors_to_task_futures["actor"] == {awaited}


def test_a_tune_that_keeps_results_elsewhere_keeps_them() -> None:
    assert not ray_internals.forget_results(SimpleNamespace())
    assert not ray_internals.forget_results(SimpleNamespace(_actor_manager=SimpleNamespace()))


def test_a_failure_is_read_from_its_file_if_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "error.txt"
    assert ray_internals.error_text(SimpleNamespace()) == ""
    assert ray_internals.error_text(SimpleNamespace(error_file=None)) == ""
    assert ray_internals.error_text(SimpleNamespace(error_file=str(file))) == ""
    file.write_text("the actor died")
    assert ray_internals.error_text(SimpleNamespace(error_file=str(file))) == "the actor died"
