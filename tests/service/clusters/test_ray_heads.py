"""A Ray for one sweep: its processes, its prestarted workers, and its end."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from service.clusters.ray_heads import RayHead

pytestmark = pytest.mark.ray

ACTORS_OF_TUNE = """
import os, sys, time
from contextlib import closing
import psutil, ray
from ray.tune.execution.class_cache import _ActorClassCache
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from service.clusters.ray_heads import RayHead
from service.clusters.ray_internals import use_prestarted_workers

class Actor:
    def where(self):
        return os.getpid(), "ray.tune" in sys.modules

with closing(RayHead()) as head:
    ray.init(address=head.address(), log_to_driver=False)
    cores = int(ray.cluster_resources()["CPU"])
    deadline, idle = time.monotonic() + 60, set()
    while len(idle) < cores and time.monotonic() < deadline:
        time.sleep(0.1)
        idle = {process.pid for process in psutil.Process().children(recursive=True) if process.name() == "ray::IDLE"}
    time.sleep(2)  # by then Ray would end those that nobody needs
    assert use_prestarted_workers()
    every = placement_group([{"CPU": cores}])
    in_it = PlacementGroupSchedulingStrategy(every)
    actors = [_ActorClassCache().get(Actor).options(num_cpus=1, scheduling_strategy=in_it).remote() for _ in idle]
    places = ray.get([actor.where.remote() for actor in actors])
    ray.shutdown()
print(len(idle) == cores, {pid for pid, _ in places} == idle, all(loaded for _, loaded in places))
"""


def test_of_ray_runs_what_a_sweep_on_one_machine_needs_and_all_of_it_ends() -> None:
    before = set(psutil.Process().children(recursive=True))
    with closing(RayHead()) as head:
        assert head.address().startswith("127.0.0.1:")
        started = set(psutil.Process().children(recursive=True)) - before
        names = {Path(part).name for process in started for part in process.cmdline()}
        assert {"gcs_server", "raylet"} <= names
        assert not names & {"monitor.py", "log_monitor.py", "dashboard.py"}
    _, left = psutil.wait_procs(started, timeout=20)
    assert not left


@pytest.mark.skipif((os.cpu_count() or 1) > 16, reason="no workers are at hand there")
def test_tunes_actors_take_the_workers_that_have_loaded_tune_already() -> None:
    """Run in a process of its own, because this process may have joined another Ray."""
    done = subprocess.run([sys.executable, "-c", ACTORS_OF_TUNE], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["True", "True", "True"], done.stderr
