"""Tells MLflow what the ledger knows: an experiment, a parent run a sweep, a child run a trial, the best model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mlflow.entities import Metric, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from service.confirmations import Confirmation
from service.ledgers import (
    EventKind,
    Json,
    Ledger,
    Message,
    MessageKind,
    Sweep,
    SweepState,
    Trial,
    TrialPhase,
    TrialState,
)
from service.promotions import PromotionRequest
from service.reports import Leaderboard
from service.settings import Home
from service.sweep_reports import rank_hyperparameters, render_report
from service.tracking.branches import Branches
from service.tracking.experiments import (
    NOTE,
    NamedExperiment,
    decorate_experiment,
    describe_sweep,
    find_or_create_experiment,
)
from service.tracking.local_store import prepare_local_store
from service.tracking.model_messages import ModelMessages
from service.tracking.run_contents import (
    decision_metrics,
    settings_params,
    split_inputs,
    trial_update,
)
from service.tracking.run_descriptions import describe_run, has_report, with_report
from service.tracking.run_tags import (
    RUN_STATUS,
    decision_tags,
    origin_tags,
    parent_tag,
    state_tag,
    sweep_tags,
    trial_tags,
)
from service.tracking.run_writers import RunUpdate, RunWriter, was_deleted
from service.tracking.standings import describe_winner, find_end_step, mark_standings
from service.tracking.sweep_contents import failure_files, progress_metrics, sweep_files, table_tag
from service.tracking.views import curves_view, prepared_view

__all__ = ["REPORT_FILE", "Tracker"]

log = logging.getLogger(__name__)

REPORT_FILE = "report.html"
"""Name of a report among the artifacts of the sweep's run."""

PROGRESS_SECONDS = 10.0
"""Time between two deliveries of a running sweep's progress."""

_SETTLED_MS = 2000
"""Age from which the order of trials' ends is known to this process: their numbers are then never sent again."""


class Tracker:
    """Delivers messages of the outbox to one MLflow.

    Every delivery may be repeated. A run is looked up by its tags before it is created, and metrics carry the times at
    which they were measured, so that MLflow stores each once.

    Ownership: borrows the ledger. Thread safety: one thread at a time.
    Raises (when delivering): MlflowException, or what the network raises, if MLflow does not take a message.
    """

    def __init__(self, ledger: Ledger, home: Home) -> None:
        self._ledger = ledger
        self._home = home
        prepare_local_store(home)
        self._client = MlflowClient(tracking_uri=home.tracking_uri)
        self._runs = RunWriter(self._client)
        self._models = ModelMessages(self._client, ledger, home, self._runs)
        self._new_sweeps: set[str] = set()
        """Sweeps whose run this tracker has created: their trials have no runs of an earlier process."""
        self._tried_trials: set[str] = set()
        """Trials that may have a run by now although the ledger knows of none."""
        self._origins: dict[str, dict[str, str]] = {}
        """Tags of all runs of a sweep, by its id."""
        self._branches: dict[str, Branches] = {}
        """Hyperparameters that trials of a sweep have in common, by its id: MLflow's charts follow them."""
        self._views: dict[str, str] = {}
        """States of the prepared views that MLflow has, by tag."""
        self._progress_at = time.monotonic()
        self._progress_steps: dict[str, int] = {}
        """Number of ended trials whose progress MLflow has, by sweep."""
        self._doubtful: list[tuple[str, dict[str, str]]] = []
        """Experiment and tags of runs whose creation failed, and may have succeeded all the same."""
        self._handlers: Mapping[MessageKind, Callable[[Message], None]] = {
            MessageKind.SWEEP_RUNNING: self._begin_sweep,
            MessageKind.MODEL: self._models.log,
            MessageKind.CANDIDATE: self._models.register,
            MessageKind.PROMOTION: self._promote,
            MessageKind.REPORT: self._log_report,
            MessageKind.FILES: self._log_files,
            MessageKind.SWEEP_COMPLETED: self._end_sweep,
            MessageKind.SWEEP_STOPPED: self._end_sweep,
            MessageKind.SWEEP_CANCELLED: self._end_sweep,
            MessageKind.SWEEP_FAILED: self._end_sweep,
            MessageKind.SWEEP_INTERRUPTED: self._end_sweep,
            MessageKind.SWEEP_PAUSED: self._end_sweep,
        }

    def deliver(self, messages: Sequence[Message]) -> None:
        """Tell MLflow what `messages` say: all of one trial, in order, or a single one of another kind.

        Files are left to a message of their own, so that all else arrives if they cannot be written.
        """
        handler = self._handlers.get(messages[0].kind)
        if handler is None:
            self._update_trial(messages)
            return
        for message in messages:
            try:
                handler(message)
            except MlflowException as error:
                if not was_deleted(error):
                    raise
                self._note_deleted(message)

    def _note_deleted(self, message: Message) -> None:
        """Leave a deleted run alone; people are told if its model was to be registered."""
        log.info("the run of %s was deleted by hand, and is left alone", message.trial_id or message.sweep_id)
        if message.kind is MessageKind.CANDIDATE:
            text = f"the model of {message.trial_id} is not registered: its run in MLflow was deleted"
            self._ledger.events.add(message.sweep_id, EventKind.NOTICE, {"text": text})

    def _begin_sweep(self, message: Message) -> None:
        sweep = self._ledger.sweeps.get(message.sweep_id)
        folder = self._home.mlflow_artifacts if self._home.has_local_tracking else None
        experiment = find_or_create_experiment(self._client, sweep.name, folder)
        experiment_id = experiment.id
        decorate_experiment(self._client, experiment_id, "mlflow.experimentKind", "custom_model_development")
        tags = self._origin(sweep) | sweep_tags(sweep)
        update = RunUpdate(params=settings_params(sweep), datasets=split_inputs(sweep.data))
        run_id = self._find_run(experiment_id, tags)
        if run_id is None:
            run_id = self._create_run(experiment_id, tags, sweep.started_at, update)
            if sweep.mlflow is None:
                self._new_sweeps.add(sweep.id)
            if experiment.name != sweep.name:
                self._note_other_experiment(sweep, experiment)
        else:
            self._runs.write(run_id, replace(update, status="RUNNING"))  # an interruption had ended the run
        if sweep.mlflow is not None and sweep.mlflow["run_id"] != run_id:
            self._adopt_trials(sweep, run_id)
        self._ledger.sweeps.note(
            sweep.id,
            mlflow={"tracking_uri": self._home.tracking_uri, "experiment_id": experiment_id, "run_id": run_id},
        )
        sweep = self._ledger.sweeps.get(sweep.id)
        self._show(sweep)
        describe_sweep(self._client, sweep, SweepState.RUNNING)
        self._ledger.outbox.want_files(sweep.id)

    def _adopt_trials(self, sweep: Sweep, run_id: str) -> None:
        """Put the runs of earlier trials below the sweep's new run: somebody has deleted the one before."""
        for trial in self._ledger.trials.list(sweep.id, None):
            if trial.mlflow_run_id is not None:
                self._runs.write(trial.mlflow_run_id, RunUpdate(tags=[parent_tag(run_id)]))

    def _note_other_experiment(self, sweep: Sweep, experiment: NamedExperiment) -> None:
        """Tell people where a sweep's runs are if its experiment was deleted, and what becomes of those in there."""
        earlier = sweep.mlflow and sweep.mlflow["experiment_id"]
        stay = f"; its runs from before stay in the deleted one, whose id is {earlier}" if earlier else ""
        text = (
            f"MLflow's experiment {sweep.name} was deleted and stays so: the runs of {sweep.id} are in the "
            f"experiment {experiment.name}{stay}"
        )
        if earlier != experiment.id:
            self._ledger.events.add(sweep.id, EventKind.NOTICE, {"text": text})

    def _update_trial(self, messages: Sequence[Message]) -> None:
        """Write all that waits of one trial at once, and note its run in the ledger if it is new."""
        sweep, trial = self._records(messages[0])
        rows = self._ledger.trials.epochs(trial.id)
        self._note_branch(sweep, trial)
        begins = any(message.kind is MessageKind.TRIAL_STARTED for message in messages)
        ends = any(message.ends_trial for message in messages)
        seconds = self._ledger.trials.occupied_seconds(trial.id) if ends else 0.0
        update = trial_update(sweep, trial, messages, rows, begins=begins, ends=ends, seconds=seconds)
        if begins:
            run_id = self._begin_trial(sweep, trial, update)
        else:
            run_id = _run_of(trial)
            self._runs.write(run_id, update)
        if ends and trial.state is TrialState.FAILED:
            self._ledger.outbox.want_files(sweep.id)
        if trial.mlflow_run_id != run_id:
            self._ledger.trials.note_runs({trial.id: run_id})
        if ends and time.monotonic() - self._progress_at >= PROGRESS_SECONDS:
            self._write_progress(sweep, self._ledger.trials.list(sweep.id), until=messages[-1].created_at - _SETTLED_MS)

    def _write_progress(self, sweep: Sweep, trials: Sequence[Trial], *, until: int) -> None:
        """Write the progress that MLflow does not have yet."""
        metrics = progress_metrics(sweep, trials, until=until)
        known = self._progress_steps.get(sweep.id, 0)
        self._runs.write(_place(sweep)["run_id"], RunUpdate(metrics=[point for point in metrics if point.step > known]))
        self._progress_at = time.monotonic()
        self._progress_steps[sweep.id] = metrics[-1].step if metrics else 0

    def _show(self, sweep: Sweep, board: Leaderboard | None = None, *, winner: str = "") -> None:
        """Write the sweep's prepared views. board: of an ended sweep, whose runs have ranks, and its winner."""
        common = self._branches_of(sweep).numeric
        ranked = rank_hyperparameters(sweep, board) if board is not None else ()
        numeric = [name for name in ranked if name in common]
        is_ranked = board is not None and board.best is not None
        for view in (
            prepared_view(sweep, self._branches_of(sweep), numeric=numeric, is_ranked=is_ranked, winner=winner),
            curves_view(sweep, is_ranked=is_ranked),
        ):
            if self._views.get(view.tag) != view.state:
                decorate_experiment(self._client, _place(sweep)["experiment_id"], view.tag, view.state)
                self._views[view.tag] = view.state

    def _note_branch(self, sweep: Sweep, trial: Trial) -> None:
        """Write the views anew if a trial has other hyperparameters than those before it."""
        is_known = sweep.id in self._branches
        branches = self._branches_of(sweep)
        if trial.phase is TrialPhase.SEARCH and (branches.add(trial.recipe) or not is_known):
            self._show(sweep)

    def _branches_of(self, sweep: Sweep) -> Branches:
        if sweep.id not in self._branches:
            self._branches[sweep.id] = Branches(sweep.drawn, sweep.log_scaled)
            self._branches[sweep.id].add(*(trial.recipe for trial in self._ledger.trials.list(sweep.id)))
        return self._branches[sweep.id]

    def _origin(self, sweep: Sweep) -> dict[str, str]:
        if sweep.id not in self._origins:
            self._origins[sweep.id] = origin_tags(sweep)
        return self._origins[sweep.id]

    def _begin_trial(self, sweep: Sweep, trial: Trial, update: RunUpdate) -> str:
        place = _place(sweep)
        tags = self._origin(sweep) | trial_tags(sweep, trial, parent=place["run_id"])
        # A trial of a sweep whose run was created here has no run, unless this tracker has tried the trial before.
        is_new = sweep.id in self._new_sweeps and trial.id not in self._tried_trials
        self._tried_trials.add(trial.id)
        run_id = None if is_new else self._find_run(place["experiment_id"], tags)
        if run_id is None:
            return self._create_run(place["experiment_id"], tags, trial.started_at, update)
        if update.status is None and trial.attempt > 1:  # a pause had ended the run
            update = replace(update, status="RUNNING", tags=[state_tag(TrialState.RUNNING)])
        self._runs.write(run_id, update)
        return run_id

    def _promote(self, message: Message) -> None:
        from service.promotions.promoting import Promoter  # importing it loads torch, which other messages do not need

        sweep = self._ledger.sweeps.get(message.sweep_id)
        request = PromotionRequest.from_json(message.payload)
        Promoter(self._client, self._ledger, self._home).promote(sweep, request)

    def _end_sweep(self, message: Message) -> None:
        sweep = self._ledger.sweeps.get(message.sweep_id)
        run_id = _place(sweep)["run_id"]
        self._delete_second_runs(sweep)
        state = message.kind.sweep_state  # the sweep may run again by now
        assert state is not None, message
        at = sweep.finished_at if sweep.finished_at and sweep.state is state else message.created_at
        trials = self._ledger.trials.list(sweep.id, None)
        if state.rests:
            self._pause_trials(trials, at)
        board = Leaderboard.read(self._ledger, sweep, with_standing=True)
        self._write_progress(sweep, trials, until=at)
        counts = {f"trials/{name}": float(count) for name, count in board.counts().items()}
        metrics = board.metrics(board.best) if board.best else {}
        best = {name: value for name, value in metrics.items() if name.startswith("best/") and value is not None}
        decided = _decided(sweep)
        step = find_end_step(self._client, run_id, ended=sum(trial.state.is_finished for trial in trials), at=at)
        mark_standings(self._client, self._runs, _place(sweep)["experiment_id"], board, decided, at, step=step)
        self._show(sweep, board, winner=describe_winner(board, decided))
        describe_sweep(self._client, sweep, state)
        note = describe_run(sweep, board, decided)
        if has_report(self._note_of(run_id)):
            note = with_report(note, sweep, REPORT_FILE)
        update = RunUpdate(
            metrics=[
                *(Metric(name, value, at, step) for name, value in (counts | best).items()),
                *(decision_metrics(decided, at, step=step) if decided is not None else ()),
            ],
            tags=[
                state_tag(state),
                RunTag(NOTE, note),
                table_tag(),
                *(decision_tags(decided) if decided is not None else ()),
            ],
            status=RUN_STATUS[state],
            ended_at=at,
        )
        self._runs.write(run_id, update)
        self._ledger.outbox.want_files(sweep.id)

    def _log_files(self, message: Message) -> None:
        """Write the files of the sweep's run and of its failed trials' runs, as they are by now."""
        sweep = self._ledger.sweeps.get(message.sweep_id)
        trials = self._ledger.trials.list(sweep.id, None)
        is_at_rest = not sweep.state.is_under_way
        board = Leaderboard.read(self._ledger, sweep, with_standing=True) if is_at_rest else None
        files = [(_place(sweep)["run_id"], *file) for file in sweep_files(sweep, trials, board).items()]
        with self._models.noting_unwritable(sweep):
            for run_id, file, text in (*files, *failure_files(sweep, trials)):
                self._runs.log_text(run_id, text, file)
            self._models.check_visible(sweep)

    def _log_report(self, message: Message) -> None:
        """Log the report as a file of the sweep's run; one that cannot be made is noted in the log, and left out."""
        sweep = self._ledger.sweeps.get(message.sweep_id)
        try:
            page = render_report(self._ledger, sweep, images=self._home.data)
        except SQLAlchemyError:
            raise  # the ledger may answer again
        except Exception:
            log.exception("the report of %s cannot be made", sweep.id)
            return
        run_id = _place(sweep)["run_id"]
        self._runs.log_text(run_id, page, REPORT_FILE)
        note = with_report(self._note_of(run_id), sweep, REPORT_FILE)
        self._runs.write(run_id, RunUpdate(tags=[RunTag(NOTE, note)]))
        describe_sweep(self._client, sweep, sweep.state, report=REPORT_FILE)

    def _note_of(self, run_id: str) -> str:
        """Return a run's description, empty if it has none."""
        return str(self._client.get_run(run_id).data.tags.get(NOTE, ""))

    def _pause_trials(self, trials: Sequence[Trial], at: int) -> None:
        """Show paused trials as ended until they are resumed."""
        for trial in trials:
            if trial.state is TrialState.PAUSED and trial.mlflow_run_id is not None:
                update = RunUpdate(tags=[state_tag(trial.state)], status=RUN_STATUS[trial.state], ended_at=at)
                self._runs.write(trial.mlflow_run_id, update)

    def _delete_second_runs(self, sweep: Sweep) -> None:
        """Delete runs that a request created although its answer was lost, if another run took their place."""
        trials = self._ledger.trials.list(sweep.id, None)
        known = {_place(sweep)["run_id"], *(trial.mlflow_run_id for trial in trials)}
        for experiment_id, tags in self._doubtful:
            if tags["meltpoint.sweep_id"] == sweep.id:
                for run_id in self._find_runs(experiment_id, tags):
                    if run_id not in known:
                        self._client.delete_run(run_id)
        self._doubtful = [doubt for doubt in self._doubtful if doubt[1]["meltpoint.sweep_id"] != sweep.id]

    def _records(self, message: Message) -> tuple[Sweep, Trial]:
        assert message.trial_id is not None, message
        return self._ledger.sweeps.get(message.sweep_id), self._ledger.trials.get(message.trial_id)

    def _find_run(self, experiment_id: str, tags: Mapping[str, str]) -> str | None:
        return next(iter(self._find_runs(experiment_id, tags)), None)

    def _find_runs(self, experiment_id: str, tags: Mapping[str, str]) -> list[str]:
        """Return the runs that carry the same ids of sweep and trial as `tags`."""
        keys = ("meltpoint.kind", "meltpoint.sweep_id", "meltpoint.trial_id")
        query = " and ".join(f"tags.`{key}` = '{tags[key]}'" for key in keys if key in tags)
        return [str(run.info.run_id) for run in self._client.search_runs([experiment_id], filter_string=query)]

    def _create_run(self, experiment_id: str, tags: Mapping[str, str], started: int | None, update: RunUpdate) -> str:
        try:
            return self._runs.create(experiment_id, tags, started, update)
        except Exception:
            self._doubtful.append((experiment_id, dict(tags)))
            raise


def _decided(sweep: Sweep) -> Confirmation | None:
    """Return the confirmation if its decision is made."""
    is_decided = sweep.confirmation is not None and sweep.confirmation["decision"] is not None
    return Confirmation.from_json(sweep.confirmation) if is_decided and sweep.confirmation is not None else None


def _place(sweep: Sweep) -> Json:
    assert sweep.mlflow is not None, f"messages of {sweep.id} out of order"
    return sweep.mlflow


def _run_of(trial: Trial) -> str:
    assert trial.mlflow_run_id is not None, f"messages of {trial.id} out of order"
    return trial.mlflow_run_id
