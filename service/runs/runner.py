"""Runs one sweep on this machine, from the images to the registered candidate."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import DBAPIError

from search_spaces import SCHEDULER_KEYS, MeltpointError, Recipe, SweepSpec, varying_names
from service.clocks import now_ms
from service.clusters import Allotment, Prestarted, workers_gpus
from service.clusters.connections import connect, forking
from service.coordination import Coordinator, new_sweep
from service.errors import LeaseError, LedgerError, ResumeError
from service.formats import counted
from service.ledgers import Json, Ledger, Sweep, SweepAction, SweepState, Trial
from service.plans import SharingSurvey
from service.reports import Leaderboard
from service.runs.helpers import Helper, Helpers
from service.runs.image_sets import ImageSets
from service.runs.interrupts import Interrupts
from service.runs.kept_checkpoints import KeptCheckpoints
from service.runs.leases import LeaseKeeper, driving, mark_interrupted
from service.schedulers import build_scheduler
from service.searchers import build_searcher
from service.settings import Home
from service.terminals import working
from service.terminals.live_views import LiveView
from service.tune import run_tune
from trainables.processes import ForkedError
from trainables.trials import Before, TrialPlan

log = logging.getLogger(__name__)

SENDING_PATIENCE_SECONDS = 60.0


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


def run_sweep(
    spec: SweepSpec, *, home: Home, console: Console, prestarted: Prestarted | None = None, apart: bool | None = None
) -> Outcome:
    """Run `spec` to its end, as a new sweep; progress goes to `console`.

    prestarted: what would be started, where it runs already.
    apart: whether what needs torch or MLflow beside the trials lives in processes of its own; by default where this
        process has not loaded torch.

    Raises:
        MeltpointError: own code, the data, the weights or the machine do not fit the spec; no sweep was made.
    """
    return _run(spec, _create, home=home, console=console, prestarted=prestarted, apart=apart)


def resume_sweep(
    sweep: Sweep,
    spec: SweepSpec,
    *,
    home: Home,
    console: Console,
    prestarted: Prestarted | None = None,
    apart: bool | None = None,
) -> Outcome:
    """Go on with a sweep that was interrupted or paused; spec: its own, perhaps with more budget. See `run_sweep`.

    Raises ResumeError where its images are not what they were or its search no longer draws what it drew.
    """

    def again(spec: SweepSpec, images: ImageSets, ledger: Ledger) -> Sweep:
        if images.summary["digest"] != sweep.data["digest"]:
            raise ResumeError(f"{sweep.id} cannot go on: its images or their splits are not what they were")
        return sweep

    return _run(spec, again, home=home, console=console, prestarted=prestarted, apart=apart)


def _run(
    spec: SweepSpec,
    sweep_of: Callable[[SweepSpec, ImageSets, Ledger], Sweep],
    *,
    home: Home,
    console: Console,
    prestarted: Prestarted | None,
    apart: bool | None,
) -> Outcome:
    with ExitStack() as stack:
        fork_server = stack.enter_context(forking(prestarted))
        sides = Helpers(fork_server if apart or (apart is None and "torch" not in sys.modules) else None)
        stack.callback(sides.close)
        side = sides.torch_helper(spec, home)
        side.begin("admit")  # what is wrong there is said before anything else takes time
        make_sender = partial(sides.mlflow_helper, home)
        sender = make_sender()  # it loads MLflow meanwhile
        ray = stack.enter_context(ExitStack())
        with working(console, "starting Ray"):
            cluster = ray.enter_context(connect(prestarted))
        with working(console, "loading torch"):
            side.end()
        ledger = Ledger.of(home, clock=now_ms)
        stack.callback(ledger.close)
        mark_interrupted(ledger, home)
        listed = workers_gpus() if cluster.gpus else ()
        allotment: Allotment = side.ask("share_out", cluster.cpus, cluster.gpus, listed)
        with working(console, "checking weights"):
            side.ask("check", allotment.device)
        images = _prepare(side, console)
        sweep = sweep_of(spec, images, ledger)
        keeper = stack.enter_context(driving(home, ledger, sweep.id))
        driver = _Driver(
            spec,
            images,
            sweep,
            home=home,
            ledger=ledger.under(keeper.lease),
            keeper=keeper,
            console=console,
            side=side,
            sender=sender,
            make_sender=make_sender,
            allotment=allotment,
        )
        return driver.drive(ray, fork_server if cluster.here else "")


class _Driver:
    """One sweep of this process, from its row in the ledger to its outcome."""

    def __init__(
        self,
        spec: SweepSpec,
        images: ImageSets,
        sweep: Sweep,
        *,
        home: Home,
        ledger: Ledger,
        keeper: LeaseKeeper,
        console: Console,
        side: Helper,
        sender: Helper,
        make_sender: Callable[[], Helper],
        allotment: Allotment,
    ) -> None:
        self.spec, self.images, self.ledger, self.console = spec, images, ledger, console
        self.side, self.allotment = side, allotment
        self.sender, self.make_sender = sender, make_sender
        past = ledger.history(sweep.id)
        ledger.note_sweep(sweep.id, spec_text=spec.text)
        self.sweep = ledger.move_sweep(sweep.id, SweepState.RUNNING)
        with suppress(ForkedError):  # it is replaced at the end
            self.sender.begin("start", sweep.id)
        self.folder = home.sweep(sweep.id)
        self.survey = SharingSurvey.of(spec, home, sweep.id)
        self.keeper = keeper
        self.interrupts = Interrupts(self._interrupted)
        self._heeded: SweepAction | None = None
        self.coordinator = Coordinator(
            spec=spec,
            sweep=self.sweep,
            ledger=ledger,
            searcher=build_searcher(spec, trials=self.sweep.plan.get("budget.trials")),
            scheduler=build_scheduler(spec),
            clock=time.monotonic,
            gpu_share=allotment.gpu,
            notice=lambda text: console.print(text, style="yellow", markup=False, soft_wrap=True),
            ended=KeptCheckpoints(
                self.folder,
                maximize=self.sweep.maximizes,
                ended=[trial for trial in past.trials if trial.state.is_finished],
            ).add,
            history=past,
        )

    def drive(self, ray: ExitStack, fork_server: str) -> Outcome:
        """Train, leave Ray, test and register, and see that MLflow is told; what goes wrong is the sweep's error."""
        with self.interrupts:
            with self._answering():
                with ray:
                    self._train(fork_server)
                with self.interrupts.breakable():
                    self._conclude()
            self.interrupts.expect_second()
            trouble: str | None = "a signal ended the wait"
            with working(self.console, "writing MLflow"), suppress(KeyboardInterrupt), self.interrupts.breakable():
                trouble = self._finish_sending()
        sweep = self.ledger.sweep(self.sweep.id)
        return Outcome(
            sweep=sweep,
            board=Leaderboard.read(self.ledger, sweep),
            unsent=self.ledger.outbox.count(sweep.id),
            tracking_error=trouble,
        )

    def _train(self, fork_server: str) -> None:
        trials, epochs = counted(self.spec.budget.trials, "trial"), counted(self.spec.budget.epochs, "epoch")
        self.console.print(
            f"sweep [bold]{self.sweep.id}[/bold] ({self.spec.name}): {trials} of up to {epochs}, "
            f"{self.allotment.slots} at once on {self.allotment.device}"
        )
        with LiveView(self.coordinator, self.console):
            run_tune(
                self.coordinator,
                allotment=self.allotment,
                make_plan=self._plan,
                folder=self.folder,
                fork_server=fork_server,
                heed=self._heed,
                breakable=self.interrupts.breakable,
            )

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Ctrl-C once pauses the trials in order; it twice, and every error, interrupts the sweep, which may go on."""
        try:
            yield
        except KeyboardInterrupt:
            if self.keeper.lost is not None:
                raise LeaseError(f"{self.keeper.lost}; this process has ended its trials") from None
            if self._heeded is SweepAction.CANCEL:
                self.ledger.cancel_sweep(self.sweep.id)
            else:
                self._interrupt("ended by a second signal")
        except Exception as error:
            log.info("the sweep failed", exc_info=True)
            said = error.orig if isinstance(error, DBAPIError) else error
            self._interrupt(f"{type(error).__name__}: {said}")

    def _interrupt(self, reason: str) -> None:
        """The sweep may go on. Raises LedgerError where the ledger cannot even take that; the next command will."""
        try:
            if not self.ledger.sweep(self.sweep.id).state.is_finished:
                self.ledger.move_sweep(self.sweep.id, SweepState.INTERRUPTED, error=reason)
        except DBAPIError as error:
            raise LedgerError(
                f"the ledger cannot be written: {error.orig}; what was recorded is kept, and once that is mended the "
                f"sweep goes on: meltpoint resume {self.sweep.id}"
            ) from error

    def _interrupted(self, name: str) -> None:
        self.coordinator.pause(f"paused by {name}")
        self.console.print(f"{name}: running trials end at their next report; once more ends them at once")

    def _heed(self) -> None:
        """Do what was asked for from elsewhere, and nothing more once another process drives the sweep."""
        if self.keeper.lost is not None:
            self.coordinator.close(self.keeper.lost)
            self.interrupts.insist()
            return
        action = self.ledger.requested_action(self.sweep.id)
        if action is None or action is self._heeded:
            return
        self._heeded = action
        if action is SweepAction.PAUSE:
            self.coordinator.pause(action.reason)
        elif action is SweepAction.STOP:
            self.coordinator.drain(action.reason)
        else:
            self.coordinator.close(action.reason)
            self.interrupts.insist()

    def _finish_sending(self) -> str | None:
        """What MLflow said last, where it has not taken everything. A sender that was killed is replaced, once."""
        try:
            self.sender.end()
            return self._finish(self.sender)
        except ForkedError:
            log.info("the sender ended", exc_info=True)
        try:
            other = self.make_sender()
            other.ask("start", self.sweep.id)
            return self._finish(other)
        except ForkedError as error:
            return str(error)

    def _finish(self, sender: Helper) -> str | None:
        said: str | None = sender.ask("finish", SENDING_PATIENCE_SECONDS)
        return said

    def _plan(self, trial: Trial) -> TrialPlan:
        images = self.images.of[trial.recipe["backbone"]]
        return TrialPlan(
            recipe=trial.recipe,
            seed=trial.seed,
            epochs=self.spec.budget.epochs,
            report_at=self.coordinator.milestones,
            data=images.folder,
            split_key=images.split_key,
            folder=str(self.folder / trial.id),
            metric=self.sweep.metric,
            maximize=self.sweep.maximizes,
            device=self.allotment.device,
            code=str(self.spec.folder),
            sharing=self._sharing(trial),
            before=_before(trial),
        )

    def _sharing(self, trial: Trial) -> Json:
        return self.survey.plain(Recipe.from_flat(trial.recipe))

    def _conclude(self) -> None:
        coordinator = self.coordinator
        if coordinator.paused:
            self.ledger.move_sweep(self.sweep.id, SweepState.PAUSING)
            self.ledger.move_sweep(self.sweep.id, SweepState.PAUSED, error=coordinator.closing)
            return
        board = Leaderboard.read(self.ledger, self.sweep)
        if board.best is None or coordinator.failed_too_often:
            why = coordinator.closing if coordinator.failed_too_often else coordinator.cut_short
            self.ledger.move_sweep(self.sweep.id, SweepState.FAILED, error=why or "no trial gave a value")
            return
        self._offer_first_that_works(board)
        if self._heeded is SweepAction.STOP and coordinator.cut_short:
            self.ledger.move_sweep(self.sweep.id, SweepState.STOPPING)
            self.ledger.move_sweep(self.sweep.id, SweepState.STOPPED, error=coordinator.cut_short)
        else:
            self.ledger.move_sweep(self.sweep.id, SweepState.COMPLETED, error=coordinator.cut_short)

    def _offer_first_that_works(self, board: Leaderboard) -> None:
        """Offer the best model; if its checkpoint cannot be used, say so and take the next."""
        for trial in board.ranked:
            try:
                return self._offer(trial)
            except (MeltpointError, OSError) as error:
                self.console.print(f"{trial.id} cannot be registered: {error}", style="yellow", markup=False)
        return None

    def _offer(self, best: Trial) -> None:
        """Read a model on the test images, once, while MLflow is given it, and have it registered."""
        outbox, images = self.ledger.outbox, self.images.of[best.recipe["backbone"]]
        if outbox.knows("candidate", trial_id=best.id):
            return
        payload = {"data": images.folder, "split_key": images.split_key, "code": str(self.spec.folder)}
        test = self._test_reading(best)
        if not (test and outbox.knows("model", trial_id=best.id)):
            with working(self.console, "reading the best model on the test images"):
                self.side.ask("load", best, self._sharing(best))
                outbox.tell(self.sweep.id, "model", payload, trial_id=best.id)
                read: dict[str, float] | None = self.side.ask("test")
            if read is not None and test is None:
                self.ledger.add_reading(best.id, epoch=best.best_epoch or 0, split="test", metrics=read)
            test = test or read
        self.ledger.note_sweep(self.sweep.id, best_trial_id=best.id)
        said = {name: value if math.isfinite(value) else None for name, value in (test or {}).items()}
        outbox.tell(self.sweep.id, "candidate", payload | {"test": said}, trial_id=best.id)

    def _test_reading(self, best: Trial) -> dict[str, float] | None:
        """What the best model read on the test images before the sweep was interrupted."""
        (row,) = [row for row in self.ledger.epochs(best.id) if row.epoch == best.best_epoch]
        return dict(row.readings["test"]) if "test" in row.readings else None


def _before(trial: Trial) -> Json | None:
    """What earlier attempts left."""
    if trial.attempt == 1:
        return None
    return asdict(Before(latest=trial.latest, best=trial.checkpoint, value=trial.best_value))


def _create(spec: SweepSpec, images: ImageSets, ledger: Ledger) -> Sweep:
    source = {"source": spec.data.source, "split": spec.data.split.model_dump(), "stores": images.stores}
    return new_sweep(spec, ledger, data=images.summary | source, plan=_plan(spec))


def _prepare(side: Helper, console: Console) -> ImageSets:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("decoding images", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        images: ImageSets = side.ask("prepare", progress=show)
    for name, reason in images.skipped:
        console.print(f"[yellow]skipped[/yellow] {name}: {reason}", soft_wrap=True)
    return images


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


__all__ = ["Outcome", "resume_sweep", "run_sweep"]
