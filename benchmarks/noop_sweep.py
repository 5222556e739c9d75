"""A sweep of trials that do nothing, timed from its first report. Prepare the environment before you import this."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass

import psutil
from noop_worker import NoopWorker

from search_spaces import Goal, SweepSpec
from service.clocks import now_ms
from service.clusters.allotments import allot
from service.clusters.cluster_nodes import read_nodes
from service.clusters.connections import connect, forking
from service.coordination import Coordinator, new_sweep
from service.ledgers import Ledger, SweepState, Trial
from service.runs.helpers import Helpers, MlflowTasks
from service.schedulers import build_scheduler
from service.searchers import build_searcher
from service.settings import Home
from service.tune import run_tune
from trainables.trials import TrialPlan

DATA = {"name": "nothing", "digest": "0", "images": 0, "image_size": 8, "classes": {}, "source": "", "split": {}}
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class Mark:
    """The driver when so many trials had ended: seconds and its CPU seconds since the first report, and its MB."""

    trials: int
    seconds: float
    cpu: float
    memory: float


class TimedSession(Coordinator):
    """A coordinator that notes the time of the first report, when the workers are up, and marks on the way.

    marked_every: number of trials between two marks.
    """

    begun: float | None = None
    cpu = 0.0
    ended = 0
    marked_every = 1000

    def record(self, *args: object, **named: object) -> bool:
        if self.begun is None:
            self.marks: list[Mark] = []
            self.begun, self.cpu = time.perf_counter(), time.process_time()
        has_ended = super().record(*args, **named)  # type: ignore[arg-type]
        self.ended += has_ended
        if has_ended and self.ended % self.marked_every == 0:
            since, memory = self.since(), psutil.Process().memory_info().rss / 1e6
            self.marks.append(Mark(trials=self.ended, seconds=since["wall"], cpu=since["cpu"], memory=memory))
        return has_ended

    def since(self) -> dict[str, float]:
        """Return the wall seconds and this process's CPU seconds since the first report."""
        assert self.begun is not None
        return {"wall": time.perf_counter() - self.begun, "cpu": time.process_time() - self.cpu}


def run_noop(
    spec: SweepSpec,
    home: Home,
    *,
    metrics: int,
    each_epoch: bool,
    sends: bool = True,
    marked_every: int = 1000,
    on_nodes: bool = False,
) -> tuple[dict[str, float], list[Mark]]:
    """Return the driver's wall and CPU seconds until the last trial ended, and until MLflow had everything; and marks.

    sends: whether MLflow gets the trials meanwhile. on_nodes: whether this process has joined a cluster of several.
    """
    with ExitStack() as stack:
        helpers = Helpers(stack.enter_context(forking()))
        stack.callback(helpers.close)
        sender = helpers.mlflow_helper(home) if sends else None
        cluster = stack.enter_context(connect())
        ledger = stack.enter_context(closing(Ledger.open_file(home.ledger, clock=now_ms)))
        coordinator = _session(spec, ledger)
        coordinator.marked_every = marked_every
        sweep = coordinator.sweep
        if sender is not None:
            sender.call(MlflowTasks.start, sweep.id)
        folder = home.sweep(sweep.id)
        folder.mkdir(parents=True)
        report_at = tuple(range(1, spec.budget.epochs + 1)) if each_epoch else tuple(coordinator.milestones)

        def make_plan(trial: Trial) -> TrialPlan:
            return _plan(trial, spec.budget.epochs, sweep.metric, report_at, metrics)

        allotment = allot(spec.resources, cpus=cluster.cpus, gpus=0, trials=spec.budget.trials)
        nodes = read_nodes if on_nodes else None
        run_tune(coordinator, allotment=allotment, make_plan=make_plan, folder=folder, worker=NoopWorker, nodes=nodes)
        trained = coordinator.since()
        ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
        if sender is not None:
            trouble = sender.call(MlflowTasks.finish, PATIENCE_SECONDS)
            assert ledger.outbox.count_unsent(sweep.id) == 0, f"messages unsent: {trouble}"
        sent = coordinator.since()
        ended = sum(trial.epochs for trial in ledger.trials.list(sweep.id))
        assert ended == spec.budget.trials * spec.budget.epochs, f"{ended} epochs recorded"
    costs = {
        "trained": trained["wall"],
        "sent": sent["wall"],
        "cpu_trained": trained["cpu"],
        "cpu_sent": sent["cpu"],
    }
    return costs, coordinator.marks


def _session(spec: SweepSpec, ledger: Ledger) -> TimedSession:
    sweep = new_sweep(spec, ledger, data=DATA, settings={})
    return TimedSession(
        spec=spec,
        sweep=ledger.sweeps.move(sweep.id, SweepState.RUNNING),
        ledger=ledger,
        searcher=build_searcher(spec),
        scheduler=build_scheduler(spec),
        clock=time.monotonic,
    )


def _plan(trial: Trial, epochs: int, metric: str, report_at: tuple[int, ...], metrics: int) -> TrialPlan:
    return TrialPlan(
        recipe=trial.recipe,
        seed=metrics,
        epochs=epochs,
        report_at=report_at,
        images={},
        images_root="",
        folder="",
        metric=metric,
        goal=Goal.MAXIMIZE,
    )
