"""A sweep of trials that do nothing, timed from its first report. Prepare the environment before you import this."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing

from noop_worker import NoopWorker

from search_spaces import Goal, SweepSpec
from service.clocks import now_ms
from service.clusters.allotments import allot
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


class TimedSession(Coordinator):
    """A coordinator that notes the time of the first report: the workers are up by then."""

    begun: float | None = None
    cpu = 0.0

    def record(self, *args: object, **named: object) -> bool:
        if self.begun is None:
            self.begun, self.cpu = time.perf_counter(), time.process_time()
        return super().record(*args, **named)  # type: ignore[arg-type]

    def since(self) -> dict[str, float]:
        """Return the wall seconds and this process's CPU seconds since the first report."""
        assert self.begun is not None
        return {"wall": time.perf_counter() - self.begun, "cpu": time.process_time() - self.cpu}


def run_noop(spec: SweepSpec, home: Home, *, metrics: int, each_epoch: bool) -> dict[str, float]:
    """Return the driver's wall and CPU seconds until the last trial ended, and until MLflow had everything."""
    with ExitStack() as stack:
        helpers = Helpers(stack.enter_context(forking()))
        stack.callback(helpers.close)
        sender = helpers.mlflow_helper(home)
        cluster = stack.enter_context(connect())
        ledger = stack.enter_context(closing(Ledger.open_file(home.ledger, clock=now_ms)))
        coordinator = _session(spec, ledger)
        sweep = coordinator.sweep
        sender.call(MlflowTasks.start, sweep.id)
        folder = home.sweep(sweep.id)
        folder.mkdir(parents=True)
        report_at = tuple(range(1, spec.budget.epochs + 1)) if each_epoch else tuple(coordinator.milestones)

        def make_plan(trial: Trial) -> TrialPlan:
            return _plan(trial, spec.budget.epochs, sweep.metric, report_at, metrics)

        allotment = allot(spec.resources, cpus=cluster.cpus, gpus=0, trials=spec.budget.trials)
        run_tune(coordinator, allotment=allotment, make_plan=make_plan, folder=folder, worker=NoopWorker)
        trained = coordinator.since()
        ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
        trouble = sender.call(MlflowTasks.finish, PATIENCE_SECONDS)
        sent = coordinator.since()
        ended = sum(trial.epochs for trial in ledger.trials.list(sweep.id))
        assert ledger.outbox.count_unsent(sweep.id) == 0, f"messages unsent: {trouble}"
        assert ended == spec.budget.trials * spec.budget.epochs, f"{ended} epochs recorded"
    return {
        "trained": trained["wall"],
        "sent": sent["wall"],
        "cpu_trained": trained["cpu"],
        "cpu_sent": sent["cpu"],
    }


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
        data="",
        split_key="",
        folder="",
        metric=metric,
        goal=Goal.MAXIMIZE,
    )
