"""Trials in the ledger, with their attempts and epochs."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, RowMapping, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from search_spaces import Goal
from service.errors import StaleAttemptError, TransitionError, TrialNotFoundError
from service.ledgers import tables
from service.ledgers.epochs import (
    best_epoch,
    insert_epochs,
    read_epochs,
    read_epochs_of_sweep,
    read_last_and_best,
    read_seconds,
    reading,
)
from service.ledgers.events import write_event
from service.ledgers.evidence import insert_predictions
from service.ledgers.journal import write_journal
from service.ledgers.outbox import Outbox
from service.ledgers.records import (
    Cause,
    Ending,
    EpochRow,
    EventKind,
    JournalEvent,
    Json,
    MessageKind,
    PackedPredictions,
    Trial,
    TrialPhase,
    TrialState,
)
from service.ledgers.transactions import Transactions, check_sweep

__all__ = ["Trials"]

_TRIALS, _ATTEMPTS = tables.trials.c, tables.attempts.c
_USABLE = tuple(state.value for state in TrialState if state is not TrialState.FAILED)


class Trials:
    """Reads and writes trials.

    A finished trial takes no more epochs and no other state. MLflow is told of a change by messages, and followers by
    events, in the same transaction.

    Thread safety: any thread or process may call; each call that writes is one transaction.
    Raises (any method that takes a trial's id): TrialNotFoundError if there is no such trial.
    """

    def __init__(self, transactions: Transactions, outbox: Outbox) -> None:
        self._transactions, self._outbox = transactions, outbox

    def create(
        self,
        sweep_id: str,
        *,
        number: int,
        point: Json,
        recipe: Json,
        identity: str,
        seed: int,
        started: bool = False,
        phase: TrialPhase = TrialPhase.SEARCH,
        retrains: str | None = None,
        node: str | None = None,
    ) -> Trial:
        """Create a pending trial, or one that is `started` at once in its first attempt. node: of that attempt.

        Its id is the sweep's id with the number behind it.

        Raises:
            SweepNotFoundError: there is no such sweep.
        """
        now = self._transactions.now()
        trial = Trial(
            id=Trial.make_id(sweep_id, number),
            sweep_id=sweep_id,
            number=number,
            point=point,
            recipe=recipe,
            identity=identity,
            seed=seed,
            state=TrialState.RUNNING if started else TrialState.PENDING,
            attempt=1 if started else 0,
            epochs=0,
            created_at=now,
            started_at=now if started else None,
            phase=phase,
            retrains=retrains,
            node=node,
        )
        try:
            with self._transactions.writing() as connection:
                connection.execute(insert(tables.trials), _columns(trial))
                if started:
                    self._begin_attempt(connection, trial, now)
                    write_journal(connection, trial, JournalEvent.ASKED)
        except IntegrityError:
            self._check_sweep(sweep_id)
            raise
        return trial

    def get(self, trial_id: str) -> Trial:
        """Return the trial of exactly this id."""
        with self._transactions.reading() as connection:
            return _get(connection, trial_id)

    def list(self, sweep_id: str, phase: TrialPhase | None = TrialPhase.SEARCH) -> list[Trial]:
        """Return the trials of a sweep, by number; phase: None for all, its retrainings last.

        Raises:
            SweepNotFoundError: there is no such sweep.
        """
        query = select(tables.trials).where(_TRIALS.sweep_id == sweep_id).order_by(_TRIALS.number)
        if phase is not None:
            query = query.where(_TRIALS.phase == phase.value)
        trials = [_from_row(row) for row in self._transactions.rows(query)]
        if not trials:
            self._check_sweep(sweep_id)
        return trials

    def start_attempt(self, trial_id: str, *, node: str | None = None) -> Trial:
        """Begin the trial's next attempt, counted from 1. node: name of the attempt's node, if it is known.

        Raises:
            TransitionError: the trial may not run.
        """
        now = self._transactions.now()
        with self._transactions.writing() as connection:
            trial = _get(connection, trial_id)
            _check_move(trial, TrialState.RUNNING)
            attempt = trial.attempt + 1
            started_at = trial.started_at or now
            begun = replace(trial, state=TrialState.RUNNING, attempt=attempt, started_at=started_at, node=node)
            _change(connection, trial, begun)
            self._begin_attempt(connection, begun, now)
        return begun

    def record_epochs(
        self,
        trial_id: str,
        *,
        attempt: int,
        rows: Sequence[EpochRow],
        metric: str,
        goal: Goal,
        checkpoint: str | None = None,
        latest: str | None = None,
        sharing: Json | None = None,
        ending: Ending | None = None,
        predictions: Iterable[PackedPredictions] = (),
        extra_readings: Mapping[str, Mapping[str, float]] | None = None,
        breaks: Callable[[EpochRow], str | None] | None = None,
    ) -> Trial:
        """Add finished epochs, in order, and keep the trial's best epoch by `metric`. An epoch already there stays.

        checkpoint: of the best epoch. latest: checkpoint of the last epoch reported.
        sharing: what the trial computed itself and what it took from the node's cache, so far.
        ending: closes the trial in the same transaction. predictions: of the best epoch; they replace earlier ones.
        extra_readings: metrics of the best epoch by split, beyond those of `rows`.
        breaks: says which of the sweep's limits an epoch breaks, for a sweep that has limits.

        Raises:
            StaleAttemptError: `attempt` is not the trial's current one, or the trial has finished.
            TransitionError: the trial may not end so.
        """
        with self._transactions.writing() as connection:
            trial = _get(connection, trial_id)
            _check_attempt(trial, attempt)
            fresh = [row for row in rows if row.epoch > trial.epochs]
            now = replace(
                trial,
                checkpoint=checkpoint or trial.checkpoint,
                latest=latest or trial.latest,
                sharing=sharing or trial.sharing,
            )
            messages: builtins.list[tuple[MessageKind, Json]] = []
            reports: builtins.list[Json] = []
            if fresh:
                insert_epochs(connection, trial_id, attempt, fresh)
                for row in fresh:
                    now = _add_epoch(now, row, metric, goal, breaks)
                    reports.append(_report(now, row.metrics().get(metric, math.nan)))
                first, last = fresh[0].epoch, fresh[-1].epoch
                messages.append((MessageKind.EPOCHS, {"first": first, "last": last}))
                write_journal(connection, trial, JournalEvent.REPORTED, first=first, last=last)
            if ending is not None:
                now = self._close(connection, now, ending)
            if now.state.is_finished:
                messages.append((MessageKind.TRIAL_FINISHED, {"state": now.state.value}))
            if fresh:
                self._tell_reports(connection, trial, now, reports, goal)
            if ending is not None:
                self._tell_end(connection, now, ending)
            insert_predictions(connection, trial_id, predictions)
            for split, metrics in (extra_readings or {}).items():
                assert now.best_epoch is not None, trial_id
                connection.execute(insert(tables.readings), [reading(trial_id, now.best_epoch, split, metrics)])
            _change(connection, trial, now)
            self._outbox.add(connection, messages, sweep_id=trial.sweep_id, trial_id=trial_id)
        return now

    def add_reading(self, trial_id: str, *, epoch: int, split: str, metrics: Mapping[str, float]) -> None:
        """Add a reading from outside the training loop, such as the best model's on the test images."""
        with self._transactions.writing() as connection:
            _get(connection, trial_id)
            connection.execute(insert(tables.readings), [reading(trial_id, epoch, split, metrics)])

    def retry(self, trial_id: str, *, attempt: int, cause: Cause, error: str) -> Trial:
        """Record that the attempt failed and that there will be another.

        Raises:
            StaleAttemptError: `attempt` is not the trial's current one, or the trial has finished.
            TransitionError: the trial may not be tried again.
        """
        with self._transactions.writing() as connection:
            trial = _get(connection, trial_id)
            _check_attempt(trial, attempt)
            _check_move(trial, TrialState.RETRYING)
            _end_attempt(connection, trial, TrialState.FAILED, self._transactions.now(), error=error, cause=cause)
            waiting = replace(trial, state=TrialState.RETRYING)
            _change(connection, trial, waiting)
            payload = {"state": waiting.state.value, "error": error}
            self._tell(connection, trial, EventKind.TRIAL_WAITING, payload)
        return waiting

    def count_failures(self, trial_id: str, cause: Cause) -> int:
        """Return how many attempts of the trial failed from this cause."""
        query = select(func.count()).where(_ATTEMPTS.trial_id == trial_id, _ATTEMPTS.cause == cause.value)
        with self._transactions.reading() as connection:
            count = connection.scalar(query) or 0
            if not count:
                _get(connection, trial_id)
            return count

    def occupied_seconds(self, trial_id: str) -> float:
        """Return how long the trial's ended attempts had a worker, in all, whatever came of them."""
        lasted = func.coalesce(func.sum(_ATTEMPTS.finished_at - _ATTEMPTS.started_at), 0)
        query = select(lasted).where(_ATTEMPTS.trial_id == trial_id, _ATTEMPTS.finished_at.is_not(None))
        with self._transactions.reading() as connection:
            return float(connection.scalar(query) or 0) / 1000

    def attempt_spans(self, sweep_id: str) -> dict[str, builtins.list[tuple[int, int | None]]]:
        """Return start and end of each attempt by trial, in order; the end is None while it runs."""
        query = (
            select(_ATTEMPTS.trial_id, _ATTEMPTS.started_at, _ATTEMPTS.finished_at)
            .join(tables.trials, _TRIALS.id == _ATTEMPTS.trial_id)
            .where(_TRIALS.sweep_id == sweep_id)
            .order_by(_TRIALS.number, _ATTEMPTS.attempt)
        )
        spans: dict[str, builtins.list[tuple[int, int | None]]] = {}
        for row in self._transactions.rows(query):
            spans.setdefault(row["trial_id"], []).append((row["started_at"], row["finished_at"]))
        return spans

    def count_epochs(self, sweep_id: str) -> int:
        """Return the number of finished epochs of all trials of a sweep."""
        query = select(func.coalesce(func.sum(_TRIALS.epochs), 0)).where(_TRIALS.sweep_id == sweep_id)
        with self._transactions.reading() as connection:
            return int(connection.scalar(query) or 0)

    def finish(self, trial_id: str, *, attempt: int, ending: Ending) -> Trial:
        """Close the trial and its attempt.

        Raises:
            StaleAttemptError: `attempt` is not the trial's current one, or the trial has finished.
            TransitionError: the state may not follow the present one.
        """
        with self._transactions.writing() as connection:
            trial = _get(connection, trial_id)
            _check_attempt(trial, attempt)
            closed = self._close(connection, trial, ending)
            _change(connection, trial, closed)
            self._tell_end(connection, closed, ending)
            if attempt:
                messages = [(MessageKind.TRIAL_FINISHED, {"state": ending.state.value})]
                self._outbox.add(connection, messages, sweep_id=trial.sweep_id, trial_id=trial_id)
        return closed

    def note_runs(self, runs: Mapping[str, str]) -> None:
        """Note the MLflow runs that show trials; runs: trial's id to run's id."""
        with self._transactions.writing() as connection:
            for trial_id, run_id in runs.items():
                noted = update(tables.trials).where(_TRIALS.id == trial_id).values(mlflow_run_id=run_id)
                if not connection.execute(noted).rowcount:
                    raise _unknown(trial_id)

    def epochs(self, trial_id: str) -> builtins.list[EpochRow]:
        """Return every epoch of a trial, in order."""
        rows = self.epochs_of([trial_id]).get(trial_id)
        if rows is None:
            self.get(trial_id)
        return rows or []

    def epochs_of(self, trial_ids: Iterable[str]) -> dict[str, builtins.list[EpochRow]]:
        """Return every epoch of several trials, in order; a trial without epochs, or unknown, has no entry."""
        with self._transactions.reading() as connection:
            return read_epochs(connection, trial_ids)

    def epochs_of_sweep(self, sweep_id: str) -> dict[str, builtins.list[EpochRow]]:
        """Return every epoch of all trials of a sweep, in order, by trial.

        Raises:
            SweepNotFoundError: there is no such sweep.
        """
        with self._transactions.reading() as connection:
            rows = read_epochs_of_sweep(connection, sweep_id)
        if not rows:
            self._check_sweep(sweep_id)
        return rows

    def last_and_best_epochs(
        self, sweep_id: str, trial_ids: Iterable[str] | None = None
    ) -> dict[str, builtins.list[EpochRow]]:
        """Return the best and the last epoch of a sweep's trials, in order, by trial; trial_ids: of these alone."""
        with self._transactions.reading() as connection:
            return read_last_and_best(connection, sweep_id, trial_ids)

    def epoch_seconds(self, sweep_id: str) -> dict[str, float]:
        """Return the time in finished epochs by trial, of those trials of a sweep that have any."""
        with self._transactions.reading() as connection:
            return read_seconds(connection, sweep_id)

    def _check_sweep(self, sweep_id: str) -> None:
        with self._transactions.reading() as connection:
            check_sweep(connection, sweep_id)

    def _begin_attempt(self, connection: Connection, trial: Trial, now: int) -> None:
        attempt = {"trial_id": trial.id, "attempt": trial.attempt, "state": trial.state.value, "started_at": now}
        connection.execute(insert(tables.attempts), attempt | {"node": trial.node})
        messages = [(MessageKind.TRIAL_STARTED, {"attempt": trial.attempt})]
        self._outbox.add(connection, messages, sweep_id=trial.sweep_id, trial_id=trial.id)
        payload: Json = {"number": trial.number, "attempt": trial.attempt}
        payload |= {} if trial.node is None else {"node": trial.node}
        self._tell(connection, trial, EventKind.TRIAL_STARTED, payload)

    def _tell(self, connection: Connection, trial: Trial, kind: EventKind, payload: Json) -> None:
        now = self._transactions.now()
        write_event(connection, trial.sweep_id, kind, payload, now=now, trial_id=trial.id)

    def _tell_reports(
        self, connection: Connection, before: Trial, after: Trial, reports: Iterable[Json], goal: Goal
    ) -> None:
        """Tell followers of each new epoch, and of a value that is better than those of all trials before."""
        for report in reports:
            self._tell(connection, after, EventKind.TRIAL_REPORTED, report)
        if after.best_value is None or after.best_value == before.best_value or after.state is TrialState.FAILED:
            return
        if after.phase is not TrialPhase.SEARCH or after.breaks is not None:
            return
        extreme = func.max(_TRIALS.best_value) if goal is Goal.MAXIMIZE else func.min(_TRIALS.best_value)
        usable = (
            (_TRIALS.sweep_id == after.sweep_id) & _TRIALS.state.in_(_USABLE) & (_TRIALS.phase == after.phase.value)
        )
        usable &= _TRIALS.breaks.is_(None)
        if goal.is_better(after.best_value, connection.scalar(select(extreme).where(usable))):
            payload = {"trial_id": after.id, "value": after.best_value}
            self._tell(connection, after, EventKind.BEST, payload)

    def _tell_end(self, connection: Connection, trial: Trial, ending: Ending) -> None:
        payload: Json = {"state": ending.state.value, "error": ending.error}
        if ending.state.is_finished:
            self._tell(connection, trial, EventKind.TRIAL_ENDED, payload | {"best_value": trial.best_value})
        else:
            self._tell(connection, trial, EventKind.TRIAL_WAITING, payload)

    def _close(self, connection: Connection, trial: Trial, ending: Ending) -> Trial:
        """End the attempt, and the trial too unless it is only paused."""
        _check_move(trial, ending.state)
        now = self._transactions.now()
        _end_attempt(connection, trial, ending.state, now, error=ending.error, cause=ending.cause)
        if not ending.state.is_finished:
            return replace(trial, state=ending.state)
        write_journal(connection, trial, JournalEvent.ENDED)
        return replace(trial, state=ending.state, error=ending.error, trace=ending.trace, finished_at=now)


def _add_epoch(
    trial: Trial, row: EpochRow, metric: str, goal: Goal, breaks: Callable[[EpochRow], str | None] | None
) -> Trial:
    """Return the trial after one more epoch."""
    epoch, value = best_epoch(trial, [row], metric, goal)
    broken = breaks(row) if breaks and epoch == row.epoch else trial.breaks
    return replace(trial, epochs=row.epoch, best_epoch=epoch, best_value=value, breaks=broken)


def _report(trial: Trial, value: float) -> Json:
    """Return the event of a trial's newest epoch. value: of the sweep's metric in it."""
    payload: Json = {
        "epochs": trial.epochs,
        "value": value if math.isfinite(value) else None,
        "best_value": trial.best_value,
    }
    return payload if trial.breaks is None else payload | {"breaks": trial.breaks}


def _get(connection: Connection, trial_id: str) -> Trial:
    row = connection.execute(select(tables.trials).where(_TRIALS.id == trial_id)).mappings().first()
    if row is None:
        raise _unknown(trial_id)
    return _from_row(row)


def _unknown(trial_id: str) -> TrialNotFoundError:
    return TrialNotFoundError(f"no trial {trial_id}; to see those of a sweep: meltpoint trials SWEEP")


def _check_attempt(trial: Trial, attempt: int) -> None:
    if trial.state.is_finished or attempt != trial.attempt:
        raise StaleAttemptError(
            f"trial {trial.id} is {trial.state} in attempt {trial.attempt}; a result of attempt {attempt} was refused"
        )


def _check_move(trial: Trial, state: TrialState) -> None:
    if not trial.state.may_become(state):
        raise TransitionError(f"trial {trial.id} is {trial.state}; it cannot become {state}")


def _change(connection: Connection, before: Trial, after: Trial) -> None:
    """Write the columns that differ."""
    old = _columns(before)
    changed = {name: value for name, value in _columns(after).items() if value != old[name]}
    if changed:
        connection.execute(update(tables.trials).where(_TRIALS.id == before.id), changed)


def _end_attempt(
    connection: Connection, trial: Trial, state: TrialState, now: int, *, error: str | None, cause: Cause | None = None
) -> None:
    """Write the end of the attempt that the trial is in; cause: of an end after which the trial goes on."""
    this = (_ATTEMPTS.trial_id == trial.id) & (_ATTEMPTS.attempt == trial.attempt)
    ended = {"state": state.value, "finished_at": now, "error": error, "cause": cause and cause.value}
    connection.execute(update(tables.attempts).where(this), ended)


def _columns(trial: Trial) -> Json:
    return {**vars(trial), "state": trial.state.value, "phase": trial.phase.value}


def _from_row(row: RowMapping) -> Trial:
    return Trial(**{**row, "state": TrialState(row["state"]), "phase": TrialPhase(row["phase"])})
