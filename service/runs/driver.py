"""The driver of one sweep: from the sweep's row in the ledger to its outcome, in this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from sqlalchemy.exc import DBAPIError

from search_spaces import Recipe, SpecError, SweepSpec, own_code_used, own_metrics, parse_spec
from service.clusters import Allotment
from service.coordination import Coordinator, describe_memory_shortage
from service.errors import ConfirmationError, LeaseError, LedgerError
from service.ledgers import Json, Ledger, Sweep, SweepAction, SweepHistory, SweepState, Trial, TrialPhase
from service.plans.sharing import SharingSurvey
from service.queues import make_gpu_reservations
from service.reports import Leaderboard
from service.runs.confirming import Confirming
from service.runs.helpers import MlflowTasks, TorchTasks
from service.runs.image_sets import ImageSets
from service.runs.interrupts import Interrupts
from service.runs.kept_checkpoints import KeptCheckpoints, checkpoint_folder, checkpoint_folders, with_store
from service.runs.leases import LeaseKeeper
from service.runs.listeners import Listener, Phase, SweepStart, in_phase
from service.runs.offers import Offers
from service.runs.outcomes import Outcome
from service.runs.snapshots import Snapshot
from service.schedulers import build_scheduler
from service.searchers import Searcher, build_searcher
from service.searchers.retrainings import RetrainingSearcher
from service.settings import Home
from trainables.checkpoint_stores import join_place, open_store, write_marker
from trainables.errors import StoreError
from trainables.processes import ForkedError, ObjectHandle, Pending
from trainables.trials import ResumePoint, TrialPlan

__all__ = ["Driver", "TrainTrials"]

log = logging.getLogger(__name__)

SENDING_PATIENCE_SECONDS = 60.0


class TrainTrials(Protocol):
    """Trains what a coordinator hands out, until it hands out no more; every attempt has ended then.

    poll: to be called twice a second, from a thread of its own. breakable: context of what a second signal may break.
    """

    def __call__(
        self,
        coordinator: Coordinator,
        *,
        allotment: Allotment,
        make_plan: Callable[[Trial], TrialPlan],
        folder: Path,
        poll: Callable[[], None],
        breakable: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Train the sweep's trials."""


class Driver:
    """Drives one sweep, whose lease this process holds.

    is_alone: whether every worker runs on this machine, and so sees its files.

    Ownership: borrows everything; whoever made the ledger, the keeper and the helpers closes them.

    Raises:
        StoreError: the store of checkpoints cannot be written.
    """

    def __init__(
        self,
        spec: SweepSpec,
        images: ImageSets,
        sweep: Sweep,
        *,
        home: Home,
        ledger: Ledger,
        keeper: LeaseKeeper,
        listener: Listener,
        torch_helper: ObjectHandle[TorchTasks],
        mlflow_helper: ObjectHandle[MlflowTasks],
        make_mlflow_helper: Callable[[], ObjectHandle[MlflowTasks]],
        allotment: Allotment,
        is_alone: bool = True,
    ) -> None:
        self.spec, self.images, self.ledger, self.listener = spec, images, ledger, listener
        self.keeper, self.allotment = keeper, allotment
        self.mlflow_helper, self.make_mlflow_helper = mlflow_helper, make_mlflow_helper
        past = ledger.history(sweep.id)
        self._known_text, self._has_new_budget = spec.text, False
        self.sweep = ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        self._sending: Pending[None] | None = None
        self._last_event = ledger.events.last_id(sweep.id)
        with suppress(ForkedError):  # the sender is replaced at the end
            self._sending = self.mlflow_helper.start(MlflowTasks.start, sweep.id)
        self.home, self.folder = home, home.sweep(sweep.id)
        self._note_store(home)
        self._kept: list[KeptCheckpoints] = []
        self._marker = "" if is_alone else write_marker(checkpoint_folder(home, self.sweep))
        self.survey = SharingSurvey.from_spec(spec, home, sweep.id)
        self.interrupts = Interrupts(self._pause_on_signal)
        self._action: SweepAction | None = None
        if images.labels:
            ledger.predictions.note_labels(sweep.id, images.labels)
        self.confirming = Confirming(
            spec,
            self.sweep,
            ledger=ledger,
            folder=self.folder,
            checkpoint_folders=self._checkpoint_folders,
            torch_helper=torch_helper,
            sharing=self._sharing,
            listener=listener,
        )
        self._confirms = self.sweep.phase is TrialPhase.CONFIRM
        self._obstacle: str | None = None
        self.coordinator = self._make_search(past)
        self.offers = Offers(
            spec,
            images,
            self.sweep,
            ledger=ledger,
            torch_helper=torch_helper,
            sharing=self._sharing,
            listener=listener,
        )

    def _note_store(self, home: Home) -> None:
        """Note the store of the checkpoints in the ledger, so that other commands find them."""
        if (data := with_store(home, self.sweep)) is not None:
            self.ledger.sweeps.note(self.sweep.id, data=data)
            self.sweep = self.ledger.sweeps.get(self.sweep.id)
        self._checkpoints = checkpoint_folder(home, self.sweep)
        self._checkpoint_folders = checkpoint_folders(home, self.sweep)

    def _make_search(self, past: SweepHistory) -> Coordinator:
        """Make the coordinator of the search."""
        searcher = build_searcher(
            self.spec,
            trials=self.sweep.first_settings.get("budget.trials"),
            warm_start=self.sweep.warm_start,
        )
        ended = [trial for trial in past.trials if trial.state.is_finished]
        checkpoints = KeptCheckpoints(self._checkpoint_folders, goal=self.sweep.goal, ended=ended)
        return self._make_coordinator(self.spec, searcher, past, checkpoints, TrialPhase.SEARCH)

    def _make_confirmation(self, spec: SweepSpec, searcher: RetrainingSearcher, past: SweepHistory) -> Coordinator:
        """Make the coordinator of retrainings; each keeps its best epoch's checkpoint until the decision."""
        checkpoints = KeptCheckpoints(self._checkpoint_folders, goal=self.sweep.goal, most=searcher.count)
        return self._make_coordinator(spec, searcher, past, checkpoints, TrialPhase.CONFIRM)

    def _make_coordinator(
        self, spec: SweepSpec, searcher: Searcher, past: SweepHistory, checkpoints: KeptCheckpoints, phase: TrialPhase
    ) -> Coordinator:
        self._kept.append(checkpoints)

        def trial_ended(trial: Trial) -> None:
            checkpoints.add(trial)
            self.listener.trial_ended(trial)

        return Coordinator(
            spec=spec,
            sweep=self.sweep,
            ledger=self.ledger,
            searcher=searcher,
            scheduler=build_scheduler(spec),
            clock=time.monotonic,
            gpu_share=self.allotment.gpu,
            notice=self.listener.notice,
            ended=trial_ended,
            history=past,
            gpu_budget=make_gpu_reservations(self.ledger, self.sweep, gpus=self.allotment.gpu),
            phase=phase,
        )

    def drive(self, train: TrainTrials, cluster: ExitStack | None = None) -> Outcome:
        """Train, leave the cluster, test and register, and wait until MLflow has everything.

        An error on the way becomes the sweep's error in the ledger.

        cluster: closed before the test, after which no trial can be trained; if there is none, the sweep goes on with
        a budget that grows during the test.

        Raises:
            LeaseError: another process has taken the sweep over.
            LedgerError: the ledger cannot be written.
        """
        with self.interrupts, self._tidying_store():
            with self._recording_interruption():
                with cluster or nullcontext():
                    if not self._confirms:
                        self._search(train)
                    if self._confirms:
                        self._confirm(train)
                while not self._conclude_breakably(may_train=cluster is None):
                    if cluster is None and not self.coordinator.is_done:
                        self._train(train)
            self.interrupts.expect_second()
            sweep = self.ledger.sweeps.get(self.sweep.id)
            result = self._outcome(Leaderboard.read(self.ledger, sweep, with_standing=True))
            self.listener.result_known(result)
            trouble: str | None = "a signal ended the wait"
            with (
                in_phase(self.listener, Phase.WRITING_MLFLOW),
                suppress(KeyboardInterrupt),
                self.interrupts.breakable(),
            ):
                trouble = self._finish_sending()
        board = Leaderboard.read(self.ledger, self.ledger.sweeps.get(self.sweep.id))  # its trials have their runs now
        outcome = self._outcome(replace(board, standing=result.board.standing), trouble)
        self.listener.sweep_ended(outcome)
        return outcome

    @contextmanager
    def _tidying_store(self) -> Iterator[None]:
        """Delete at the end the marker, and wait a while for the deletion of checkpoints."""
        try:
            yield
        finally:
            if self._marker:
                with suppress(StoreError):
                    open_store(self._marker).delete(self._marker)
            for kept in self._kept:
                kept.close()

    def _outcome(self, board: Leaderboard, trouble: str | None = None) -> Outcome:
        """Return how the sweep stands in the ledger. trouble: MLflow's last error, if MLflow lacks anything."""
        sweep = self.ledger.sweeps.get(self.sweep.id)
        return Outcome(
            sweep=sweep,
            board=board,
            unsent=self.ledger.outbox.count_unsent(sweep.id),
            waiting=self.ledger.outbox.waiting(sweep.id),
            tracking_error=trouble,
            notices=self.ledger.events.notices(sweep.id, self._last_event),
        )

    def _search(self, train: TrainTrials) -> None:
        """Train the trials of the search; if a confirmation follows, offer the best model before it."""
        self._train(train)
        coordinator = self.coordinator
        if self.spec.confirm is None or coordinator.paused or self._action is not None or coordinator.failed_too_often:
            return
        board = Leaderboard.read(self.ledger, self.sweep)
        if board.best is None:
            return
        with self.interrupts.breakable():
            self.offers.offer_first_usable(board, tests=False)
        self._confirms = True

    def _confirm(self, train: TrainTrials) -> None:
        """Train the retrainings of the confirmation; a sweep with nothing to confirm says so and ends."""
        try:
            confirmation = self.confirming.begin()
        except ConfirmationError as error:
            self._obstacle = str(error) if self.sweep.phase is TrialPhase.CONFIRM else None
            self._confirms = False
            self.listener.notice(str(error))
            return
        self.listener.confirmation_started(confirmation)
        for coordinator in self.confirming.coordinators(self._make_confirmation):
            self._go_on_with(coordinator)
            self._train_once(train)

    def _go_on_with(self, coordinator: Coordinator) -> None:
        """Replace the coordinator; a pause or stop that came before counts for the next one too."""
        before, self.coordinator = self.coordinator, coordinator
        if before.paused:
            coordinator.pause(before.closing or "")
        if self._action is SweepAction.STOP:
            coordinator.drain(self._action.reason)

    def _train(self, train: TrainTrials) -> None:
        self.listener.sweep_started(
            SweepStart(
                sweep_id=self.sweep.id,
                name=self.spec.name,
                trials=self.spec.budget.trials,
                epochs=self.spec.budget.epochs,
                slots=self.allotment.slots,
                device=self.allotment.device,
            )
        )
        self._train_once(train)
        while self._has_new_budget and not self.coordinator.is_done:  # it came with the last trial's end
            self._train_once(train)

    def _train_once(self, train: TrainTrials) -> None:
        self._has_new_budget = False
        self.listener.training_started(partial(Snapshot.take, self.coordinator))
        try:
            train(
                self.coordinator,
                allotment=self.allotment,
                make_plan=self._plan_trial,
                folder=self.folder,
                poll=self._follow_request,
                breakable=self.interrupts.breakable,
            )
            self._follow_changes()
        finally:
            self.listener.training_ended()

    @contextmanager
    def _recording_interruption(self) -> Iterator[None]:
        """Record a second signal, or any error, as the interruption of the sweep, which may be resumed."""
        try:
            yield
        except KeyboardInterrupt:
            if self.keeper.lost is not None:
                raise LeaseError(f"{self.keeper.lost}; this process has ended its trials") from None
            if self._action is SweepAction.CANCEL:
                self.ledger.sweeps.cancel(self.sweep.id)
            else:
                self._interrupt("ended by a second signal")
        except Exception as error:
            log.info("the sweep failed", exc_info=True)
            cause = error.orig if isinstance(error, DBAPIError) else error
            self._interrupt(describe_memory_shortage(str(error)) or f"{type(error).__name__}: {cause}")

    def _interrupt(self, reason: str) -> None:
        """Mark the sweep as interrupted, so that it can be resumed.

        Raises LedgerError if the ledger cannot be written; the next command then marks the sweep.
        """
        try:
            if not self.ledger.sweeps.get(self.sweep.id).state.is_finished:
                self.ledger.sweeps.move(self.sweep.id, SweepState.INTERRUPTED, error=reason)
        except DBAPIError as error:
            raise LedgerError(
                f"the ledger cannot be written: {error.orig}; what was recorded is kept. Once the cause is mended, "
                f"resume the sweep: meltpoint resume {self.sweep.id}"
            ) from error

    def _pause_on_signal(self, name: str) -> None:
        self.coordinator.pause(f"paused by {name}")
        self.listener.signal_received(name)

    def _follow_request(self) -> None:
        """Do what the ledger asks for; end everything at once if another process drives the sweep by now."""
        if self.keeper.lost is not None:
            self.coordinator.close(self.keeper.lost)
            self.interrupts.insist()
            return
        self._follow_changes()
        action = self.ledger.sweeps.requested_action(self.sweep.id)
        if action is None or action is self._action:
            return
        self._action = action
        if action is SweepAction.PAUSE:
            self.coordinator.pause(action.reason)
        elif action is SweepAction.STOP:
            self.coordinator.drain(action.reason)
        else:
            self.coordinator.close(action.reason)
            self.interrupts.insist()

    def _follow_changes(self) -> None:
        """Go on with the budget that the ledger has now."""
        text = self.ledger.sweeps.read_revision(self.sweep.id, self._known_text)
        if text is None:
            return
        self._known_text = text
        try:
            self.spec = self.sweep.with_first_defaults(parse_spec(text, file=self.spec.file))
        except SpecError as error:
            self.listener.notice(f"the sweep goes on with the budget that it had: {error}")
            return
        if self._confirms:
            self.listener.notice(f"its search is over; to go on with it: meltpoint resume {self.sweep.id}")
            return
        self.coordinator.change_budget(self.spec)
        self._has_new_budget = True
        self.listener.budget_changed(self.spec.budget)

    def _finish_sending(self) -> str | None:
        """Return MLflow's last error if MLflow has not taken everything. A sender that was killed is replaced, once."""
        try:
            if self._sending is not None:
                self._sending.result()
            return self._finish(self.mlflow_helper)
        except ForkedError:
            log.info("the sender ended", exc_info=True)
        try:
            other = self.make_mlflow_helper()
            other.call(MlflowTasks.start, self.sweep.id)
            return self._finish(other)
        except ForkedError as error:
            return str(error)

    def _finish(self, mlflow_helper: ObjectHandle[MlflowTasks]) -> str | None:
        return mlflow_helper.call(MlflowTasks.finish, SENDING_PATIENCE_SECONDS)

    def _plan_trial(self, trial: Trial) -> TrialPlan:
        images = self.images.by_backbone[trial.recipe["backbone"]]
        return TrialPlan(
            recipe=trial.recipe,
            seed=trial.seed,
            epochs=self.spec.budget.epochs,
            report_at=self.coordinator.milestones,
            images=images.reference,
            images_root=str(self.home.data),
            folder=join_place(self._checkpoints, trial.id),
            metric=self.sweep.metric,
            goal=self.sweep.goal,
            own_metrics=own_metrics(self.spec),
            device=self.allotment.device,
            code=str(self.spec.folder) if own_code_used(self.spec) else "",
            sharing=self._sharing(trial),
            resume_from=_resume_point(trial),
            marker=self._marker,
            extra_splits=("confirm",) if trial.phase is TrialPhase.CONFIRM else (),
            own_code=self.images.own_code,
            weights_digest=self.images.weights_digest(trial.recipe["backbone"], trial.recipe["weights"]),
            members=self.allotment.members,
        )

    def _sharing(self, trial: Trial) -> Json:
        return self.survey.plain(Recipe.from_flat(trial.recipe))

    def _conclude_breakably(self, *, may_train: bool) -> bool:
        with self.interrupts.breakable():
            return self._conclude(may_train=may_train)

    def _conclude(self, *, may_train: bool) -> bool:
        """Offer the best model and give the sweep its last state; return False if its budget has changed meanwhile."""
        coordinator = self.coordinator
        if coordinator.paused:
            self.ledger.sweeps.move(self.sweep.id, SweepState.PAUSING)
            self.ledger.sweeps.move(self.sweep.id, SweepState.PAUSED, error=coordinator.closing)
            return True
        if self._confirms:
            self._decide()
        else:
            board = Leaderboard.read(self.ledger, self.sweep)
            if board.best is None or coordinator.failed_too_often:
                why = coordinator.closing if coordinator.failed_too_often else coordinator.cut_short
                return self._end(SweepState.FAILED, why or board.no_candidate(), may_train=may_train)
            self.offers.offer_first_usable(board)
        if self._action is SweepAction.STOP and coordinator.cut_short:
            self.ledger.sweeps.move(self.sweep.id, SweepState.STOPPING)
            self.ledger.sweeps.move(self.sweep.id, SweepState.STOPPED, error=coordinator.cut_short)
            return True
        return self._end(SweepState.COMPLETED, self._obstacle or coordinator.cut_short, may_train=may_train)

    def _decide(self) -> None:
        """Make the decision if every retraining has ended; if it cannot be made, say why."""
        if not self.confirming.is_trained:
            return
        try:
            self.confirming.conclude()
        except ConfirmationError as error:
            self._obstacle = str(error)
            self.listener.notice(self._obstacle)

    def _end(self, state: SweepState, error: str | None, *, may_train: bool) -> bool:
        """Move the sweep to its last state; return False if there is more to do by now, with another budget."""
        while not self.ledger.sweeps.end_unless_revised(self.sweep.id, state, known_text=self._known_text, error=error):
            self._follow_changes()
            if not self.coordinator.is_done:
                if may_train:
                    return False
                self.listener.notice(
                    f"the budget changed after the last trial had ended; go on with: meltpoint resume {self.sweep.id}"
                )
            if state is SweepState.FAILED:  # perhaps more may fail now
                return False
        return True


def _resume_point(trial: Trial) -> Json | None:
    """Return what earlier attempts of the trial left; None for a first attempt."""
    if trial.attempt == 1:
        return None
    return asdict(ResumePoint(latest=trial.latest, best=trial.checkpoint, value=trial.best_value))
