"""Runs one sweep on this machine, from the images to the registered candidate."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from search_spaces import SCHEDULER_KEYS, MeltpointError, Recipe, SweepSpec, varying_names, weights_used
from service.admission import check_own_code, check_precisions
from service.clocks import now_ms
from service.clusters import Early, connect, forking
from service.drivers import driving, mark_interrupted
from service.homes import Home
from service.interrupts import Interrupts
from service.leaderboards import Leaderboard
from service.ledgers import Ledger
from service.live_views import LiveView
from service.machines import workers_gpus
from service.models import BestModel, candidate_payload
from service.outputs import counted, working
from service.records import Json, Sweep, Trial
from service.resources import Allotment, share_out
from service.schedulers import build_scheduler
from service.searchers import build_searcher
from service.senders import Sender
from service.sessions import Session
from service.sharing_plans import SharingSurvey
from service.states import SweepState
from service.tracking import Tracker
from service.tuning import tune_session
from trainables.own_metrics import own_metrics
from trainables.prepared import PreparedData, prepare_for, read_table, summarize
from trainables.tables import ImageTable
from trainables.trials import TrialPlan
from trainables.weights import check_weights

log = logging.getLogger(__name__)

SENDING_PATIENCE_SECONDS = 60.0

Images = dict[str, PreparedData]
"""For each backbone of a sweep, the images as it wants them."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a sweep ended: its ledger row, its leaderboard, and what MLflow has not been told yet."""

    sweep: Sweep
    board: Leaderboard
    unsent: int
    tracking_error: str | None

    def as_json(self) -> Json:
        """The contract of `run -o json`."""
        return {
            "sweep_id": self.sweep.id,
            "state": self.sweep.state.value,
            "counts": self.board.counts(),
            "best": self.board.best_as_json(),
            "seconds": self.sweep.seconds,
            "mlflow": self.sweep.mlflow or {"tracking_uri": None, "experiment_id": None, "run_id": None},
            "registered": self.sweep.registered,
            "error": self.sweep.error,
        }


def run_sweep(spec: SweepSpec, *, home: Home, console: Console, early: Early | None = None) -> Outcome:
    """Run `spec` to its end; progress goes to `console`. early: what would be started, where it runs already.

    Raises:
        MeltpointError: own code, the data, the weights or the machine do not fit the spec; no sweep was made.
    """
    check_own_code(spec)
    table = read_table(spec.data, base_dir=spec.folder, root=home.data)  # what is wrong here is said at once
    with ExitStack() as stack:
        ledger = Ledger.at(home.ledger, clock=now_ms)
        stack.callback(ledger.close)
        mark_interrupted(ledger, home)
        with working(console, "starting Ray"):
            fork_server = stack.enter_context(forking(early))
            cluster = stack.enter_context(connect(early))
        listed = workers_gpus() if cluster.gpus else ()
        allotment = share_out(spec, cpus=cluster.cpus, gpus=cluster.gpus, listed=listed)
        check_precisions(spec, allotment.device)
        with working(console, "checking weights"):
            for backbone, weights in weights_used(spec):
                check_weights(backbone, weights, image_size=spec.data.image_size)
        data = _prepare(spec, table, home, console)
        sweep = _create(spec, data, ledger)
        stack.enter_context(driving(home, sweep.id))
        driver = _Driver(spec, data, sweep, home=home, ledger=ledger, fork_server=fork_server, console=console)
        return driver.drive(allotment)


class _Driver:
    """One sweep of this process, from its row in the ledger to its outcome."""

    def __init__(
        self,
        spec: SweepSpec,
        data: Images,
        sweep: Sweep,
        *,
        home: Home,
        ledger: Ledger,
        fork_server: str,
        console: Console,
    ) -> None:
        self.spec, self.data, self.home, self.ledger, self.console = spec, data, home, ledger, console
        self.fork_server = fork_server
        self.sweep = ledger.move_sweep(sweep.id, SweepState.RUNNING)
        self.folder = home.sweep(sweep.id)

    def drive(self, allotment: Allotment) -> Outcome:
        """Train, test and register, and tell MLflow; whatever goes wrong in it is the outcome's error."""
        sender = Sender(
            self.ledger,
            self.sweep.id,
            lambda: Tracker(self.ledger, self.home),
            backlog_lock=self.home.backlog_lock,
        ).start()
        session = self._open_session(allotment)
        try:
            self._train(session, allotment)
        except KeyboardInterrupt:
            self._end(session, SweepState.CANCELLED, "cancelled by a second Ctrl-C")
        except Exception as error:
            log.info("the sweep failed", exc_info=True)
            self._end(session, SweepState.FAILED, f"{type(error).__name__}: {error}")
        with working(self.console, "writing MLflow"):
            unsent = sender.finish(SENDING_PATIENCE_SECONDS)
        sweep = self.ledger.sweep(self.sweep.id)
        board = Leaderboard.read(self.ledger, sweep)
        return Outcome(sweep=sweep, board=board, unsent=unsent, tracking_error=sender.last_error)

    def _end(self, session: Session, state: SweepState, reason: str) -> None:
        session.abandon(reason)
        if not self.ledger.sweep(self.sweep.id).state.is_finished:
            self.ledger.move_sweep(self.sweep.id, state, error=reason)

    def _open_session(self, allotment: Allotment) -> Session:
        return Session(
            spec=self.spec,
            sweep=self.sweep,
            ledger=self.ledger,
            searcher=build_searcher(self.spec),
            scheduler=build_scheduler(self.spec),
            clock=time.monotonic,
            gpu_share=allotment.gpu,
            notice=lambda text: self.console.print(text, style="yellow", markup=False, soft_wrap=True),
        )

    def _train(self, session: Session, allotment: Allotment) -> None:
        survey = SharingSurvey.of(self.spec, self.home, self.sweep.id)

        def make_plan(trial: Trial) -> TrialPlan:
            data = self._data_of(trial)
            return TrialPlan(
                recipe=trial.recipe,
                seed=trial.seed,
                epochs=self.spec.budget.epochs,
                report_at=session.milestones,
                data=str(data.folder),
                split_key=data.split_key,
                folder=str(self.folder / trial.id),
                metric=self.sweep.metric,
                maximize=self.sweep.maximizes,
                device=allotment.device,
                code=str(self.spec.folder),
                sharing=survey.plain(Recipe.from_flat(trial.recipe)),
            )

        def interrupted(name: str) -> None:
            session.close(f"stopped by {name}")
            self.console.print(f"{name}: running trials end at their next report; once more ends them at once")

        trials, epochs = counted(self.spec.budget.trials, "trial"), counted(self.spec.budget.epochs, "epoch")
        self.console.print(
            f"sweep [bold]{self.sweep.id}[/bold] ({self.spec.name}): {trials} of up to {epochs}, "
            f"{allotment.slots} at once on {allotment.device}"
        )
        with Interrupts(interrupted) as interrupts:
            with LiveView(session, self.console):
                tune_session(
                    session, allotment=allotment, make_plan=make_plan, folder=self.folder, fork_server=self.fork_server
                )
            self._conclude(session, stopped=interrupts.count > 0)

    def _conclude(self, session: Session, *, stopped: bool) -> None:
        board = Leaderboard.read(self.ledger, self.sweep)
        if board.best is None or session.failed_too_often:
            why = session.closing if session.failed_too_often else session.cut_short
            self.ledger.move_sweep(self.sweep.id, SweepState.FAILED, error=why or "no trial gave a value")
            return
        self._offer_first_that_works(board)
        if stopped:
            self.ledger.move_sweep(self.sweep.id, SweepState.STOPPING)
            self.ledger.move_sweep(self.sweep.id, SweepState.STOPPED, error=session.closing)
        else:
            self.ledger.move_sweep(self.sweep.id, SweepState.COMPLETED, error=session.cut_short)

    def _offer_first_that_works(self, board: Leaderboard) -> None:
        """Offer the best model; if its checkpoint cannot be used, say so and take the next."""
        for trial in board.ranked:
            try:
                return self._offer(trial)
            except (MeltpointError, OSError) as error:
                self.console.print(f"{trial.id} cannot be registered: {error}", style="yellow", markup=False)
        return None

    def _offer(self, best: Trial) -> None:
        """Read a model on the test images, once, and have it registered."""
        model = BestModel(trial=best, data=self._data_of(best))
        with working(self.console, "reading the best model on the test images"):
            test = model.test(own_metrics(self.spec.metric.name))
        if test is not None:
            self.ledger.add_reading(best.id, epoch=best.best_epoch or 0, split="test", metrics=test.metrics)
        self.ledger.note_sweep(self.sweep.id, best_trial_id=best.id)
        self.ledger.outbox.tell(
            self.sweep.id, "candidate", candidate_payload(model, test, code=self.spec.folder), trial_id=best.id
        )

    def _data_of(self, trial: Trial) -> PreparedData:
        """The images as the trial's backbone wants them."""
        return self.data[trial.recipe["backbone"]]


def _create(spec: SweepSpec, data: Images, ledger: Ledger) -> Sweep:
    return ledger.create_sweep(
        name=spec.name,
        spec_text=spec.text,
        spec_file=spec.file,
        metric=spec.metric.name,
        goal=spec.metric.goal,
        seed=spec.seed,
        data=summarize(data.values())
        | {
            "source": spec.data.source,
            "split": spec.data.split.model_dump(),
            "stores": sorted({each.folder.name for each in data.values()}),
        },
        plan=_plan(spec),
    )


def _prepare(spec: SweepSpec, table: ImageTable, home: Home, console: Console) -> Images:
    backbones = dict.fromkeys(str(backbone) for backbone, _ in weights_used(spec))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("decoding images", total=None)
        data = prepare_for(
            table,
            spec.data,
            backbones,
            root=home.data,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    for name, reason in next(iter(data.values())).skipped:
        console.print(f"[yellow]skipped[/yellow] {name}: {reason}", soft_wrap=True)
    return data


def _plan(spec: SweepSpec) -> Json:
    """What was asked for, flat, as the parent run shows it."""
    sections = {
        "search": spec.search.model_dump(exclude={"points"}),
        "scheduler": spec.scheduler.model_dump(include={"type", *SCHEDULER_KEYS[spec.scheduler.type]}),
        "budget": spec.budget.model_dump(),
        "resources": spec.resources.model_dump(),
        "metric": spec.metric.model_dump(),
    }
    flat = {f"{section}.{name}": value for section, of in sections.items() for name, value in of.items()}
    flat["space.drawn"] = varying_names(spec)
    flat["register.model"] = spec.registration.model if spec.registration else spec.name
    return {name: value for name, value in flat.items() if value is not None}


__all__ = ["Outcome", "run_sweep"]
