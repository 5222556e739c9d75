"""Runs of Ray Tune over a coordinator: long-lived workers; Tune's checkpointing, retries and logging are off."""

from __future__ import annotations

import gc
import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

from ray import tune
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.experiment import Trial as TuneTrial

from service.clusters import Allotment, use_prestarted_workers
from service.clusters.bulletins import Bulletin
from service.clusters.cluster_nodes import lane_resources, make_group
from service.clusters.placements import ClusterNode
from service.coordination import Coordinator
from service.ledgers import Json, Trial
from service.tune.cluster_sources import ClusterSource
from service.tune.lanes import TuneBridge
from service.tune.sources import CoordinatorSource
from service.tune.worker_settings import HANG_SECONDS, LOG
from trainables.processes import Rendezvous
from trainables.trials import TrialPlan
from trainables.trials.ray_worker import TrialWorker

log = logging.getLogger(__name__)

MakePlan = Callable[[Trial], TrialPlan]

MOST_LANES = 4096
"""Lanes at once on a cluster, whose nodes say how many fit."""

_left_workers = threading.Event()
"""Set while workers of a broken run of this process may still be there, with their cores."""


def run_tune(
    coordinator: Coordinator,
    *,
    allotment: Allotment,
    make_plan: MakePlan,
    folder: Path,
    fork_server: str = "",
    home: Path | None = None,
    nodes: Callable[[], Iterable[ClusterNode]] | None = None,
    worker: type[TrialWorker] = TrialWorker,
    poll: Callable[[], None] = lambda: None,
    breakable: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Train until the coordinator hands out no more trials; every attempt has ended when this returns.

    fork_server: its address, see `forking`. home: of the driver. worker: class of the actors that train.
    nodes: reads the nodes of a cluster, whose lanes are bound to nodes; None if Ray runs on this machine alone.
    poll: called twice a second, from a thread of its own.
    breakable: context in which Tune's loop runs, see `Interrupts`.

    Raises:
        Exception: the first error of ours inside Tune's loop, after all trials were closed.
    """
    if _left_workers.is_set():
        gc.collect()  # Tune's loop lies in cycles of references; until it is collected, its workers keep their cores
        _left_workers.clear()
    if fork_server:
        use_prestarted_workers()
    # On a cluster nobody waits for the others: a node may come much later.
    rendezvous = Rendezvous(tempfile.mkdtemp(prefix="rendezvous-", dir=folder), allotment.slots if nodes is None else 1)
    bulletin = None if nodes is None else Bulletin()
    if bulletin is not None:
        bulletin.follow(rendezvous.folder)
    shared = {
        "threads": allotment.threads,
        "rendezvous": asdict(rendezvous),
        "log": str(folder / LOG),
        "fork_server": fork_server,
        "patience": HANG_SECONDS,
        "home": str(home or ""),
        "bulletin": bulletin and bulletin.name,
    }

    def make_config(trial: Trial) -> Json:
        return shared | {"trial_id": trial.id, "trial": vars(make_plan(trial))}

    def look_around() -> None:
        _look(source, nodes, poll)
        if bulletin is not None:
            bulletin.mirror()

    source = _make_source(coordinator, make_config, rendezvous, allotment, nodes)
    with TuneBridge(source) as bridge:
        try:
            with _watching(coordinator, source, rendezvous, look_around), breakable():
                _tuner(bridge, allotment, folder, worker).fit()
        except BaseException:
            _left_workers.set()
            raise
        finally:
            shutil.rmtree(rendezvous.folder, ignore_errors=True)
            coordinator.leave(coordinator.closing or "the sweep ended before the trial did")
    if source.failure is not None:
        raise source.failure


def _make_source(
    coordinator: Coordinator,
    make_config: Callable[[Trial], Json],
    rendezvous: Rendezvous,
    allotment: Allotment,
    nodes: Callable[[], Iterable[ClusterNode]] | None,
) -> CoordinatorSource:
    if nodes is None:
        return CoordinatorSource(coordinator, make_config, when_exhausted=rendezvous.open)
    source = ClusterSource(coordinator, make_config, shape=allotment.shape, bells=Path(rendezvous.folder))
    source.follow(nodes())
    return source


def _look(
    source: CoordinatorSource, nodes: Callable[[], Iterable[ClusterNode]] | None, poll: Callable[[], None]
) -> None:
    poll()
    if nodes is None or not isinstance(source, ClusterSource):
        return
    try:
        there = nodes()
    except Exception:  # Ray raises whatever keeps its head from an answer; it may be back at the next look
        log.warning("the nodes of the cluster cannot be listed", exc_info=True)
    else:
        source.follow(there)


@contextmanager
def _watching(
    coordinator: Coordinator, source: CoordinatorSource, rendezvous: Rendezvous, poll: Callable[[], None]
) -> Iterator[None]:
    """Call `poll` twice a second while entered; ask workers for reports when the coordinator closes or `poll` fails."""
    ended = threading.Event()

    def watch() -> None:
        requested = False
        while not ended.wait(0.5):
            try:
                poll()
            except Exception as error:
                source.fail(error)
                return rendezvous.request_reports()
            if coordinator.closing and not requested:
                rendezvous.request_reports()
                requested = True
            elif requested and not coordinator.closing:  # the budget has grown
                rendezvous.withdraw_request()
                requested = False
        return None

    watcher = threading.Thread(target=watch, name="watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _tuner(bridge: TuneBridge, allotment: Allotment, folder: Path, worker: type[TrialWorker]) -> Tuner:
    binds = bridge.source.binds
    group = make_group if binds else make_group(lane_resources(allotment.shape))
    return Tuner(
        tune.with_resources(worker, group),
        tune_config=TuneConfig(
            search_alg=bridge.searcher,
            scheduler=bridge.scheduler,
            num_samples=-1,
            max_concurrent_trials=MOST_LANES if binds else allotment.slots,
            reuse_actors=not binds,
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
