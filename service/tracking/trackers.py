"""Says in MLflow's words what the ledger knows: experiment, parent run, one child run a trial, metrics, data set."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from service.ledgers import EpochRow, Json, Ledger, Message, MessageKind, Sweep, SweepState, Trial, TrialState
from service.models import log_candidate, log_model
from service.reports import Leaderboard
from service.schedulers import bracket_in
from service.settings import Home
from service.tracking.run_rows import RowWriter
from service.tracking.run_writers import ClientWriter, RunNews, RunWriter
from service.tracking.senders import by_stream
from service.tracking.views import prepared_view

_RUN_STATUS = {
    TrialState.COMPLETED: "FINISHED",
    TrialState.PRUNED: "FINISHED",
    TrialState.FAILED: "FAILED",
    TrialState.CANCELLED: "KILLED",
    TrialState.PAUSED: "KILLED",
    SweepState.COMPLETED: "FINISHED",
    SweepState.STOPPED: "FINISHED",
    SweepState.CANCELLED: "KILLED",
    SweepState.INTERRUPTED: "KILLED",
    SweepState.PAUSED: "KILLED",
    SweepState.FAILED: "FAILED",
}


class Tracker:
    """Delivers outbox messages to one MLflow.

    Ownership: borrows the ledger. Thread safety: one thread at a time. Every delivery may be repeated: runs are
    looked up by their tags before they are created, and points carry the ledger's timestamps, so that MLflow stores
    each once. Raises MlflowException, or what the network raises, when MLflow does not take a message.
    """

    def __init__(self, ledger: Ledger, home: Home) -> None:
        self._ledger = ledger
        self._home = home
        self._local = home.tracking_uri == home.local_tracking_uri
        if self._local:
            use_write_ahead_log(home.mlflow_store)
        self._client = MlflowClient(tracking_uri=home.tracking_uri)
        self._runs: RunWriter = (
            RowWriter(home.mlflow_store, self._client) if self._local else ClientWriter(self._client)
        )
        self.trials_at_once = self._runs.trials_at_once
        self._begun: set[str] = set()
        self._tried: set[str] = set()
        """Trials, by their ids, that may have a run by now although the ledger knows of none."""
        self._doubtful: list[tuple[str, dict[str, str]]] = []
        self._handlers: Mapping[MessageKind, Callable[[Message], None]] = {
            MessageKind.SWEEP_RUNNING: self._sweep_running,
            MessageKind.MODEL: self._model,
            MessageKind.CANDIDATE: self._candidate,
            MessageKind.SWEEP_COMPLETED: self._sweep_ended,
            MessageKind.SWEEP_STOPPED: self._sweep_ended,
            MessageKind.SWEEP_CANCELLED: self._sweep_ended,
            MessageKind.SWEEP_FAILED: self._sweep_ended,
            MessageKind.SWEEP_INTERRUPTED: self._sweep_ended,
            MessageKind.SWEEP_PAUSED: self._sweep_ended,
        }

    def deliver(self, messages: Sequence[Message]) -> None:
        """Tell MLflow what `messages` say, which are of trials, those of each in order, or one of another kind."""
        if messages[0].kind in self._handlers:
            for message in messages:
                self._handlers[message.kind](message)
        else:
            self._trials(by_stream(messages))

    def _sweep_running(self, message: Message) -> None:
        sweep = self._ledger.sweeps.get(message.sweep_id)
        experiment_id = self._experiment(sweep)
        view = prepared_view(sweep)
        self._client.set_experiment_tag(experiment_id, "mlflow.experimentKind", "custom_model_development")
        self._client.set_experiment_tag(experiment_id, view.tag, view.state)
        tags = _sweep_tags(sweep)
        params = [Param(name, str(value)[:6000]) for name, value in sweep.settings.items()]
        news = RunNews(params=params, dataset=_dataset(sweep.data))
        run_id = self._run_with(experiment_id, tags)
        if run_id is None:
            run_id = self._create_run(experiment_id, tags, sweep.started_at, news)
            self._begun.add(sweep.id)
        else:
            self._runs.write(run_id, replace(news, status="RUNNING"))  # it had ended with an interruption
        self._ledger.sweeps.note(
            sweep.id,
            mlflow={
                "tracking_uri": self._home.tracking_uri,
                "experiment_id": experiment_id,
                "run_id": run_id,
            },
        )
        self._client.log_text(run_id, sweep.spec_text, f"spec/{Path(sweep.spec_file).name}")

    def _trials(self, lanes: Sequence[Sequence[Message]]) -> None:
        """All that waits about these trials of a sweep, told at once; the ledger then notes which runs were made."""
        sweep = self._ledger.sweeps.get(lanes[0][0].sweep_id)
        trials = [self._trial_of(messages[0]) for messages in lanes]
        epochs = self._ledger.trials.epochs_of(trial.id for trial in trials)
        shown: dict[str, str] = {}
        traces: dict[str, str] = {}
        with self._runs.together():
            for trial, messages in zip(trials, lanes, strict=True):
                run_id = self._trial(sweep, trial, messages, epochs.get(trial.id, []))
                if trial.mlflow_run_id != run_id:
                    shown[trial.id] = run_id
                if trial.trace and any(message.ends_trial for message in messages):
                    traces[run_id] = trial.trace
        for run_id, trace in traces.items():
            self._client.log_text(run_id, trace, "error.txt")
        if shown:
            self._ledger.trials.note_runs(shown)

    def _trial(self, sweep: Sweep, trial: Trial, messages: Sequence[Message], rows: Sequence[EpochRow]) -> str:
        """Of one, whose epochs are `rows`: its run if it has none yet, its points, its end. Returns the run's id."""
        kinds = {message.kind for message in messages}
        begins, ends = MessageKind.TRIAL_STARTED in kinds, MessageKind.TRIAL_FINISHED in kinds
        spans = [message.payload for message in messages if message.kind == MessageKind.EPOCHS]
        points = [
            Metric(name, value, row.recorded_at, row.epoch)
            for row in rows
            if any(span["first"] <= row.epoch <= span["last"] for span in spans)
            for name, value in (row.metrics() | {"time/epoch_seconds": row.seconds}).items()
            if math.isfinite(value)
        ]
        at = trial.finished_at or messages[-1].created_at
        news = RunNews(
            points=[*points, *_best_points(trial, rows, at)] if ends else points,
            params=_params(trial.recipe) if begins else (),
            tags=_end_tags(trial) if ends else (),
            dataset=_dataset(sweep.data) if begins else None,
            status=_RUN_STATUS[trial.state] if ends else None,
            ended_at=at if ends else None,
        )
        if begins:
            run_id = self._begin_trial(sweep, trial, news)
        else:
            run_id = _run_of(trial)
            self._runs.write(run_id, news)
        return run_id

    def _begin_trial(self, sweep: Sweep, trial: Trial, news: RunNews) -> str:
        place = self._place(sweep)
        tags = _trial_tags(sweep, trial, parent=place["run_id"])
        # A trial of a sweep whose own run was made just now has none, unless it was tried before: what made the run may
        # have failed behind that, together with other trials even without the message's noting it.
        new = sweep.id in self._begun and trial.id not in self._tried
        self._tried.add(trial.id)
        run_id = None if new else self._run_with(place["experiment_id"], tags)
        if run_id is None:
            run_id = self._create_run(place["experiment_id"], tags, trial.started_at, news)
        elif news.status is None and trial.attempt > 1:  # it had ended with the pause
            state = RunTag("meltpoint.state", TrialState.RUNNING.value)
            self._runs.write(run_id, replace(news, status="RUNNING", tags=[state]))
        else:
            self._runs.write(run_id, news)
        return run_id

    def _model(self, message: Message) -> None:
        sweep, trial = self._both(message)
        uri = self._home.tracking_uri
        log_model(self._client, sweep=sweep, trial=trial, payload=message.payload, tracking_uri=uri)

    def _candidate(self, message: Message) -> None:
        sweep, trial = self._both(message)
        registered = log_candidate(
            self._client,
            sweep=sweep,
            trial=trial,
            payload=message.payload,
            tracking_uri=self._home.tracking_uri,
        )
        test = {f"test/{k}": v for k, v in message.payload["test"].items() if v is not None}
        at = trial.finished_at or message.created_at
        points = [Metric(name, value, at, trial.best_epoch or 0) for name, value in test.items()]
        self._runs.write(_run_of(trial), RunNews(points=points, tags=[RunTag("meltpoint.candidate", "true")]))
        self._ledger.sweeps.note(sweep.id, registered=registered)

    def _sweep_ended(self, message: Message) -> None:
        sweep = self._ledger.sweeps.get(message.sweep_id)
        run_id = self._place(sweep)["run_id"]
        self._remove_doubles(sweep)
        board = Leaderboard.read(self._ledger, sweep)
        self._client.log_text(run_id, json.dumps(board.as_json(), indent=2), "leaderboard/leaderboard.json")
        self._client.log_text(run_id, board.as_csv(), "leaderboard/leaderboard.csv")
        self._client.log_text(run_id, board.as_html(), "leaderboard/leaderboard.html")
        state = message.kind.sweep_state  # by now it may have gone on
        assert state is not None, message
        at = sweep.finished_at if sweep.finished_at and sweep.state is state else message.created_at
        if state.rests:
            self._trials_paused(sweep, at)
        counts = {f"trials/{state}": float(n) for state, n in board.counts().items()}
        metrics = board.metrics(board.best) if board.best else {}
        best = {name: value for name, value in metrics.items() if name.startswith("best/") and value is not None}
        points = [Metric(name, value, at, 0) for name, value in (counts | best).items()]
        tags = [
            RunTag("meltpoint.state", state.value),
            RunTag("mlflow.note.content", board.as_markdown()),
        ]
        self._runs.write(run_id, RunNews(points=points, tags=tags, status=_RUN_STATUS[state], ended_at=at))

    def _trials_paused(self, sweep: Sweep, at: int) -> None:
        """Until they go on, their runs say so, and not that they still run."""
        for trial in self._ledger.trials.list(sweep.id):
            if trial.state is TrialState.PAUSED and trial.mlflow_run_id is not None:
                paused = [RunTag("meltpoint.state", trial.state.value)]
                status = _RUN_STATUS[trial.state]
                self._runs.write(trial.mlflow_run_id, RunNews(tags=paused, status=status, ended_at=at))

    def _remove_doubles(self, sweep: Sweep) -> None:
        """A request whose answer was late may have made its run after the run had been looked for, and made."""
        known = {self._place(sweep)["run_id"], *(trial.mlflow_run_id for trial in self._ledger.trials.list(sweep.id))}
        for experiment_id, tags in self._doubtful:
            if tags["meltpoint.sweep_id"] == sweep.id:
                for run_id in self._runs_with(experiment_id, tags):
                    if run_id not in known:
                        self._client.delete_run(run_id)
        self._doubtful = [(i, tags) for i, tags in self._doubtful if tags["meltpoint.sweep_id"] != sweep.id]

    def _both(self, message: Message) -> tuple[Sweep, Trial]:
        return self._ledger.sweeps.get(message.sweep_id), self._trial_of(message)

    def _trial_of(self, message: Message) -> Trial:
        assert message.trial_id is not None, message
        return self._ledger.trials.get(message.trial_id)

    def _place(self, sweep: Sweep) -> Json:
        assert sweep.mlflow is not None, f"messages of {sweep.id} out of order"
        return sweep.mlflow

    def _experiment(self, sweep: Sweep) -> str:
        """The experiment of the sweep's name, made if need be, brought back if it was deleted."""
        found = self._client.get_experiment_by_name(sweep.name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self._client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        place = (self._home.mlflow_artifacts / sweep.name).as_uri() if self._local else None
        try:
            return str(self._client.create_experiment(sweep.name, artifact_location=place))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return self._experiment(sweep)

    def _run_with(self, experiment_id: str, tags: Mapping[str, str]) -> str | None:
        """The run that carries these tags."""
        return next(iter(self._runs_with(experiment_id, tags)), None)

    def _runs_with(self, experiment_id: str, tags: Mapping[str, str]) -> list[str]:
        keys = ("meltpoint.kind", "meltpoint.sweep_id", "meltpoint.trial_id")
        query = " and ".join(f"tags.`{key}` = '{tags[key]}'" for key in keys if key in tags)
        return [str(run.info.run_id) for run in self._client.search_runs([experiment_id], filter_string=query)]

    def _create_run(self, experiment_id: str, tags: Mapping[str, str], started: int | None, news: RunNews) -> str:
        try:
            return self._runs.create(experiment_id, tags, started, news)
        except Exception:
            self._doubtful.append((experiment_id, dict(tags)))
            raise


def use_write_ahead_log(store: Path) -> None:
    """Readers and the writer of MLflow's SQLite file no longer wait for each other; the setting stays in the file."""
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def _sweep_tags(sweep: Sweep) -> dict[str, str]:
    return {
        "mlflow.runName": f"{sweep.name} {sweep.id}",
        "mlflow.source.name": Path(sweep.spec_file).name,
        "meltpoint.kind": "sweep",
        "meltpoint.sweep_id": sweep.id,
        "meltpoint.state": SweepState.RUNNING.value,
    }


def _trial_tags(sweep: Sweep, trial: Trial, *, parent: str) -> dict[str, str]:
    bracket = bracket_in(sweep, trial.number)
    return {
        "mlflow.runName": trial.id,
        "mlflow.parentRunId": parent,
        "mlflow.source.name": Path(sweep.spec_file).name,
        "meltpoint.kind": "trial",
        "meltpoint.sweep_id": sweep.id,
        "meltpoint.trial_id": trial.id,
        "meltpoint.identity": trial.identity,
        "meltpoint.state": TrialState.RUNNING.value,
    } | ({} if bracket is None else {"meltpoint.bracket": str(bracket)})


def _sharing_tags(trial: Trial) -> dict[str, str]:
    """How the trial's frozen part was computed, and why so."""
    if trial.sharing is None:
        return {}
    shared = trial.sharing
    said = f"{shared['computed']} images computed, {shared['read']} read; {shared['trouble'] or shared['reason']}"
    return {"meltpoint.prefix": shared["training"], "meltpoint.prefix.note": said}


def _params(recipe: Json) -> list[Param]:
    """The recipe's values; rates also as a power of ten, since parallel coordinates have no log axis."""
    params = {name: str(value) for name, value in recipe.items()}
    rate = recipe.get("optimizer.lr")
    if rate:
        params["optimizer.log10_lr"] = f"{math.log10(rate):.4f}"
    return [Param(name, value) for name, value in params.items()]


def _dataset(data: Mapping[str, Any]) -> DatasetInput:
    source = {"source": data["source"], "split": data["split"]}
    profile = {"images": data["images"], "image_size": data["image_size"], "classes": data["classes"]}
    dataset = Dataset(
        name=data["name"][:500],
        digest=data["digest"][:36],
        source_type="local",
        source=json.dumps(source),
        profile=json.dumps(profile)[:16_000_000],
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "training")])


def _run_of(trial: Trial) -> str:
    assert trial.mlflow_run_id is not None, f"messages of {trial.id} out of order"
    return trial.mlflow_run_id


def _best_points(trial: Trial, rows: Sequence[EpochRow], at: int) -> list[Metric]:
    best = [row.best_metrics() for row in rows if row.epoch == trial.best_epoch]
    return [Metric(k, v, at, trial.epochs) for row in best for k, v in row.items() if math.isfinite(v)]


def _end_tags(trial: Trial) -> list[RunTag]:
    tags = {"meltpoint.state": trial.state.value} | _sharing_tags(trial)
    if trial.error:
        tags |= {"meltpoint.error": trial.error[:5000]}
    return [RunTag(k, v) for k, v in tags.items()]
