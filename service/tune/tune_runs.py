"""One Ray Tune run over a coordinator: long-lived workers, nothing of Tune's own checkpointing, retries or logging."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

from ray import tune
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.execution import class_cache
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.experiment import Trial as TuneTrial

from service.clusters import Allotment
from service.coordination import Coordinator
from service.ledgers import Json, Trial
from service.tune.lanes import TuneBridge
from trainables.processes import Rendezvous
from trainables.trials import TrialPlan
from trainables.trials.ray_worker import TrialWorker

HANG_SECONDS = 300.0
"""A trial that gives no sign of life for so long is killed; while it computes it gives one about every second."""

LOG = "trials.log"
"""In the sweep's folder: what trials' processes print."""

MakePlan = Callable[[Trial], TrialPlan]


def run_tune(
    coordinator: Coordinator,
    *,
    allotment: Allotment,
    make_plan: MakePlan,
    folder: Path,
    fork_server: str = "",
    worker: type[TrialWorker] = TrialWorker,
    heed: Callable[[], None] = lambda: None,
    breakable: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Train until the coordinator hands out no more trials; every attempt has ended when this returns.

    heed: called twice a second, from a thread of its own. breakable: what Tune's loop runs in, see `Interrupts`.
    fork_server: its address, see `forking`. worker: what trains the recipes.

    Raises:
        Exception: the first error of our own inside Tune's loop, after all trials were closed.
    """
    if fork_server:
        take_workers_at_hand()
    line = Rendezvous(tempfile.mkdtemp(prefix="start-line-", dir=folder), allotment.slots)

    shared = {
        "threads": allotment.threads,
        "rendezvous": asdict(line),
        "log": str(folder / LOG),
        "fork_server": fork_server,
        "patience": HANG_SECONDS,
    }

    def make_config(trial: Trial) -> Json:
        return shared | {"trial_id": trial.id, "trial": vars(make_plan(trial))}

    ended = threading.Event()

    def request_reports() -> None:
        called = False
        while not ended.wait(0.5):
            try:
                heed()
            except Exception as error:
                bridge.guard(error)
                return line.request_reports()
            if coordinator.closing and not called:
                line.request_reports()
                called = True
        return None

    watcher = threading.Thread(target=request_reports, name="call-in", daemon=True)
    with TuneBridge(coordinator, make_config, when_exhausted=line.open) as bridge:
        watcher.start()
        try:
            with breakable():
                _tuner(bridge, allotment, folder, worker).fit()
        finally:
            ended.set()
            watcher.join()
            shutil.rmtree(line.folder, ignore_errors=True)
            coordinator.leave(coordinator.closing or "the sweep ended before the trial did")
    if bridge.failure is not None:
        raise bridge.failure


def take_workers_at_hand() -> None:
    """Have Tune's actors taken up by workers that Ray has started already, in a Ray of this machine alone.

    Tune gives actors some of this process's variables. Workers here have all of them as it is, and Ray starts a new one
    for an actor that asks for any.
    """
    class_cache.DEFAULT_ENV_VARS.clear()
    class_cache.ENV_VARS_TO_PROPAGATE.clear()


def _tuner(bridge: TuneBridge, allotment: Allotment, folder: Path, worker: type[TrialWorker]) -> Tuner:
    bundle = {"CPU": allotment.cpu} | ({"GPU": allotment.gpu} if allotment.gpu else {})
    return Tuner(
        tune.with_resources(worker, PlacementGroupFactory([bundle])),
        tune_config=TuneConfig(
            search_alg=bridge.searcher,
            scheduler=bridge.scheduler,
            num_samples=-1,
            max_concurrent_trials=allotment.slots,
            reuse_actors=True,
            trial_name_creator=_lane_name,
            trial_dirname_creator=_lane_name,
        ),
        run_config=RunConfig(
            name="tune",
            storage_path=str(folder),
            verbose=0,
            failure_config=FailureConfig(max_failures=0),
            checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )


def _lane_name(trial: TuneTrial) -> str:
    return f"lane-{trial.trial_id}"
