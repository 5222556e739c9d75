"""Trials that do nothing, through Meltpoint's own machinery: searcher, Ray Tune, ledger, outbox, MLflow.

    python benchmarks/noop_meltpoint.py --trials 500 --epochs 20 --metrics 12 [--each-epoch]

Workers report made-up metrics instead of training, all epochs at once as a sweep without early stopping does, or with
`--each-epoch` one epoch at a time. Prints one JSON object: seconds until the last trial had ended (`trained`) and until
MLflow knew all of it (`sent`), both from the first trial on, workers up; and the process' own CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import closing
from pathlib import Path

from search_spaces import SweepSpec, parse_spec
from service.environments import prepare_environment
from service.homes import Home

SPEC = """
name: noop
data: {{source: nothing}}
space:
  dropout.rate: {{min: 0.0, max: 0.5}}
  optimizer.lr: {{min: 1.0e-4, max: 1.0e-1, log: true}}
search: {{algorithm: random}}
budget: {{trials: {trials}, epochs: {epochs}}}
"""
DATA = {"name": "nothing", "digest": "0", "images": 0, "image_size": 8, "classes": {}, "source": "", "split": {}}
PATIENCE_SECONDS = 600.0


def main() -> None:
    """Run the sweep in a fresh home and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--metrics", type=int, default=12, help="values an epoch, its seconds among them")
    parser.add_argument("--each-epoch", action="store_true", help="a report an epoch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder)).create()
        prepare_environment(home)
        spec = parse_spec(SPEC.format(trials=options.trials, epochs=options.epochs), file="noop.yaml")
        print(json.dumps(_run(spec, home, metrics=options.metrics, each_epoch=options.each_epoch)))


def _run(spec: SweepSpec, home: Home, *, metrics: int, each_epoch: bool) -> dict[str, float]:
    # Ray and MLflow read the environment, which was prepared just now, when they are imported.
    from noop_worker import NoopWorker

    from service.clocks import now_ms
    from service.clusters import connect
    from service.ledgers import Ledger
    from service.records import Trial
    from service.resources import allot
    from service.schedulers import build_scheduler
    from service.searchers import build_searcher
    from service.senders import Sender
    from service.sessions import Session
    from service.states import SweepState
    from service.tracking import Tracker
    from service.tuning import tune_session
    from trainables.trial_plans import TrialPlan

    class TimedSession(Session):
        """Notes when the workers were up: when the first report came in."""

        begun: float | None = None
        cpu = 0.0

        def record(self, *args: object, **named: object) -> bool:
            if self.begun is None:
                self.begun, self.cpu = time.perf_counter(), time.process_time()
            return super().record(*args, **named)  # type: ignore[arg-type]

    with connect() as cluster, closing(Ledger.at(home.ledger, clock=now_ms)) as ledger:
        sweep = ledger.create_sweep(
            name=spec.name,
            spec_text=spec.text,
            spec_file=spec.file,
            metric=spec.metric.name,
            goal=spec.metric.goal,
            seed=spec.seed,
            data=DATA,
            plan={},
        )
        sweep = ledger.move_sweep(sweep.id, SweepState.RUNNING)
        session = TimedSession(
            spec=spec,
            sweep=sweep,
            ledger=ledger,
            searcher=build_searcher(spec),
            scheduler=build_scheduler(spec),
            clock=time.monotonic,
        )
        report_at = tuple(range(1, spec.budget.epochs + 1)) if each_epoch else session.milestones

        def make_plan(trial: Trial) -> TrialPlan:
            return TrialPlan(
                recipe=trial.recipe,
                seed=metrics,
                epochs=spec.budget.epochs,
                report_at=report_at,
                data="",
                split_key="",
                folder="",
                metric=sweep.metric,
                maximize=True,
            )

        sender = Sender(ledger, sweep.id, lambda: Tracker(ledger, home), backlog_lock=home.backlog_lock).start()
        allotment = allot(spec.resources, cpus=cluster.cpus, gpus=0, trials=spec.budget.trials)
        folder = home.sweep(sweep.id)
        folder.mkdir(parents=True)
        tune_session(session, allotment=allotment, make_plan=make_plan, folder=folder, worker=NoopWorker)
        trained, cpu_trained = time.perf_counter(), time.process_time()
        ledger.move_sweep(sweep.id, SweepState.COMPLETED)
        unsent = sender.finish(PATIENCE_SECONDS)
        sent, cpu_sent = time.perf_counter(), time.process_time()
        ended = sum(trial.epochs for trial in ledger.trials(sweep.id))
    assert unsent == 0, f"{unsent} messages unsent: {sender.last_error}"
    assert ended == spec.budget.trials * spec.budget.epochs, f"{ended} epochs recorded"
    assert session.begun is not None
    return {
        "trained": trained - session.begun,
        "sent": sent - session.begun,
        "cpu_trained": cpu_trained - session.cpu,
        "cpu_sent": cpu_sent - session.cpu,
    }


if __name__ == "__main__":
    main()
