"""A Ray for one sweep: its processes, its prestarted workers, and its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.ray

MOST_PRESTARTED = 16

SCRIPT = """
import json, os, sys, time
from contextlib import closing
from pathlib import Path
import psutil, ray
from ray.tune.execution.class_cache import _ActorClassCache
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from service.clusters.ray_heads import RayHead
from service.clusters.ray_internals import use_prestarted_workers

class Actor:
    def where(self):
        return os.getpid(), "ray.tune" in sys.modules

def children():
    return psutil.Process().children(recursive=True)

def use_every_core():
    cores = int(ray.cluster_resources()["CPU"])
    deadline, idle = time.monotonic() + 60, set()
    while len(idle) < cores and time.monotonic() < deadline:
        time.sleep(0.1)
        idle = {process.pid for process in children() if process.name() == "ray::IDLE"}
    time.sleep(2)  # by then Ray would end those that nobody needs
    assert use_prestarted_workers()
    every = placement_group([{"CPU": cores}])
    in_it = PlacementGroupSchedulingStrategy(every)
    actors = [_ActorClassCache().get(Actor).options(num_cpus=1, scheduling_strategy=in_it).remote() for _ in idle]
    places = ray.get([actor.where.remote() for actor in actors])
    return {
        "one idle worker a core": len(idle) == cores,
        "actors in them": {pid for pid, _ in places} == idle,
        "Tune loaded": all(loaded for _, loaded in places),
    }

with closing(RayHead()) as head:
    address = head.address()
    started = children()
    names = {Path(part).name for process in started for part in process.cmdline()}
    ray.init(address=address, log_to_driver=False)
    prestarted = use_every_core() if os.cpu_count() <= int(sys.argv[1]) else {}
    started = {*started, *children()}
    ray.shutdown()
_, left = psutil.wait_procs(started, timeout=20)
left = [str(process) for process in left]
print(json.dumps({"address": address, "names": sorted(names), "prestarted": prestarted, "left": left}))
"""


@pytest.fixture(scope="module")
def observed() -> Any:
    """Run a Ray in a process of its own, because this process may have joined another; return what it showed."""
    command = [sys.executable, "-c", SCRIPT, str(MOST_PRESTARTED)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_of_ray_runs_what_a_sweep_on_one_machine_needs_and_all_of_it_ends(observed: Any) -> None:
    assert observed["address"].startswith("127.0.0.1:")
    names = set(observed["names"])
    assert {"gcs_server", "raylet"} <= names
    assert not names & {"monitor.py", "log_monitor.py", "dashboard.py"}
    assert observed["left"] == []


@pytest.mark.skipif((os.cpu_count() or 1) > MOST_PRESTARTED, reason="no workers are at hand there")
def test_tunes_actors_take_the_workers_that_have_loaded_tune_already(observed: Any) -> None:
    assert observed["prestarted"] == {"one idle worker a core": True, "actors in them": True, "Tune loaded": True}
