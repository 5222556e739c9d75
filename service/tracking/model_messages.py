"""Messages about models: they are logged, and the best is registered as a candidate."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.entities import Metric, RunTag
from mlflow.tracking import MlflowClient

from service.errors import ArtifactError, TrialNotFoundError
from service.ledgers import EventKind, Json, Ledger, Message, Sweep, Trial
from service.models import LoggedClassifier, log_candidate, log_model
from service.models.artifacts import check_visible
from service.settings import Home
from service.tracking.run_writers import RunUpdate, RunWriter
from trainables.errors import CheckpointError

__all__ = ["ModelMessages"]

_UNWRITABLE_SECONDS = 10.0
"""Time for which no model is exported after a sweep's files could not be written: it would be in vain."""


class ModelMessages:
    """Delivers messages about models; each delivery may be repeated.

    Ownership: borrows everything. Thread safety: one thread at a time.
    Raises (when delivering): ArtifactError, MlflowException, or what the network raises.
    """

    def __init__(self, client: MlflowClient, ledger: Ledger, home: Home, runs: RunWriter) -> None:
        self._client, self._ledger, self._home, self._runs = client, ledger, home, runs
        self._unwritable: dict[str, tuple[float, ArtifactError]] = {}
        """The last time at which a sweep's files could not be written, and the reason."""
        self._visible: set[str] = set()
        """Sweeps whose files MLflow's server sees."""

    def log(self, message: Message) -> None:
        """Log a model; one whose checkpoint is gone or damaged is left out, and people are told."""
        sweep, trial = self._records(message)
        try:
            self._log_once(sweep, trial, message.payload)
        except CheckpointError as error:
            text = f"MLflow has no model of {trial.id}: {error}"
            self._ledger.events.add(sweep.id, EventKind.NOTICE, {"text": text})

    def register(self, message: Message) -> None:
        """Write the test reading to the trial's run and its model, and register the model."""
        sweep, trial = self._records(message)
        payload = message.payload
        at, step, run_id = trial.finished_at or message.created_at, trial.best_epoch or 0, str(trial.mlflow_run_id)
        test = {f"test/{name}": value for name, value in payload["test"].items() if value is not None}
        metrics = [Metric(name, value, at, step) for name, value in test.items()]
        self._runs.write(run_id, RunUpdate(metrics=metrics, tags=[RunTag("meltpoint.candidate", "true")]))
        logged = self._log_once(sweep, trial, payload)
        if logged.model_id is not None:
            linked = [Metric(name, value, at, step, model_id=logged.model_id) for name, value in test.items()]
            self._runs.write(run_id, RunUpdate(metrics=linked))
        registered = log_candidate(
            self._client,
            sweep=sweep,
            trial=trial,
            logged=logged,
            test=payload["test"],
            tracking_uri=self._home.tracking_uri,
            find_records=self._find_records,
        )
        if "kept" in registered:
            self._ledger.events.add(sweep.id, EventKind.NOTICE, {"text": registered["kept"]})
        self._ledger.sweeps.note(sweep.id, registered=registered)

    def _find_records(self, trial_id: str) -> tuple[Sweep, Trial] | None:
        """Return a trial with its sweep; None if this ledger does not have it."""
        try:
            trial = self._ledger.trials.get(trial_id)
        except TrialNotFoundError:
            return None
        return self._ledger.sweeps.get(trial.sweep_id), trial

    def _log_once(self, sweep: Sweep, trial: Trial, payload: Json) -> LoggedClassifier:
        """Log a trial's model unless it is there; raises as `log_model`."""
        at, known = self._unwritable.get(sweep.id, (-math.inf, None))
        if known is not None and time.monotonic() < at + _UNWRITABLE_SECONDS:
            raise known
        with self.noting_unwritable(sweep):
            self.check_visible(sweep)
            uri = self._home.tracking_uri
            return log_model(self._client, sweep=sweep, trial=trial, payload=payload, tracking_uri=uri)

    def check_visible(self, sweep: Sweep) -> None:
        """Check once that MLflow's server sees the files of the sweep's run. Raises ArtifactError if not."""
        if sweep.id not in self._visible and sweep.mlflow is not None:
            check_visible(self._client, sweep.mlflow["run_id"])
            self._visible.add(sweep.id)

    @contextmanager
    def noting_unwritable(self, sweep: Sweep) -> Iterator[None]:
        """Remember an ArtifactError of the sweep for some seconds, in which no model is exported in vain."""
        try:
            yield
        except ArtifactError as error:
            self._unwritable[sweep.id] = time.monotonic(), error
            raise

    def _records(self, message: Message) -> tuple[Sweep, Trial]:
        assert message.trial_id is not None, message
        return self._ledger.sweeps.get(message.sweep_id), self._ledger.trials.get(message.trial_id)
