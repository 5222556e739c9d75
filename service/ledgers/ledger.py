"""The ledger: the truth about sweeps, trials, epochs and what MLflow has still to be told."""

from __future__ import annotations

import copy
import math
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, func, insert, select, update

from search_spaces import Goal
from service.errors import LeaseError, StaleAttemptError, SweepNotFoundError, TransitionError
from service.ledgers import tables
from service.ledgers.backups import Contents, read_backup, write_backup
from service.ledgers.causes import Cause
from service.ledgers.databases import open_database, read_only
from service.ledgers.epochs import insert_epochs, read_epochs, reading
from service.ledgers.outbox import Clock, Outbox
from service.ledgers.records import (
    Ending,
    EpochRow,
    JournalEntry,
    JournalEvent,
    Json,
    Lease,
    Sweep,
    SweepAction,
    SweepHistory,
    Trial,
    TrialCounts,
)
from service.ledgers.states import SweepState, TrialState
from service.settings import Home


class Ledger:
    """One store over SQLAlchemy.

    Ownership: the ledger owns its engine; `close` releases it. Every method that writes is one transaction, taken
    before it reads: it happened or it did not, and nobody came between. What MLflow must be told about a change is
    written to the `outbox` in the same transaction.
    Thread safety: methods may be called from several threads and processes; each takes its own connection.
    A finished trial takes no more epochs and no other state; a finished sweep runs again at most, with more budget than
    it had. What MLflow called them, and the test reading of the best, are noted afterwards.

    Whoever drives a sweep holds its lease, and writes through `under` it: what it writes once another holds the lease
    is refused, with StaleAttemptError.

    Raises (any method): LedgerError when the database cannot be opened; SQLAlchemy's errors when it fails later.
    """

    def __init__(self, url: str, *, clock: Clock) -> None:
        self._engine: Engine = open_database(url)
        self._clock = clock
        self._lease: Lease | None = None
        self.outbox = Outbox(self._engine, clock, self._writing)

    def under(self, lease: Lease) -> Ledger:
        """The same ledger for the holder of a lease; it is closed with this one."""
        other = copy.copy(self)
        other._lease = lease
        other.outbox = Outbox(self._engine, self._clock, other._writing)
        return other

    @classmethod
    def at(cls, path: Path, *, clock: Clock) -> Ledger:
        return cls(f"sqlite:///{path}", clock=clock)

    @classmethod
    def of(cls, home: Home, *, clock: Clock) -> Ledger:
        return cls(home.ledger_url, clock=clock)

    def close(self) -> None:
        self._engine.dispose()

    def backup(self, path: Path) -> Contents:
        """See `write_backup`."""
        return write_backup(self._engine, path)

    def restore(self, path: Path) -> Contents:
        """See `read_backup`."""
        return read_backup(path, self._engine)

    def create_sweep(
        self,
        *,
        name: str,
        spec_text: str,
        spec_file: str,
        metric: str,
        goal: Goal,
        seed: int,
        data: Json,
        plan: Json,
    ) -> Sweep:
        """A new sweep in state `validating`, with an id of its own."""
        with self._writing() as connection:
            taken = set(connection.scalars(select(tables.sweeps.c.id)))
            sweep_id = next(i for i in iter(lambda: f"s-{secrets.token_hex(3)}", None) if i not in taken)
            connection.execute(
                insert(tables.sweeps).values(
                    id=sweep_id,
                    name=name,
                    state=SweepState.VALIDATING.value,
                    spec_text=spec_text,
                    spec_file=spec_file,
                    metric=metric,
                    goal=goal.value,
                    seed=seed,
                    data=data,
                    plan=plan,
                    created_at=self._clock(),
                )
            )
            return self._sweep(connection, sweep_id)

    def sweep(self, sweep_id: str) -> Sweep:
        """The sweep of exactly this id.

        Raises:
            SweepNotFoundError: there is none.
        """
        with read_only(self._engine).connect() as connection:
            return self._sweep(connection, sweep_id)

    def find_sweep(self, reference: str) -> Sweep:
        """The sweep by id, unique prefix of an id, name (its newest), or `last`.

        Raises:
            SweepNotFoundError: nothing, or more than one id, fits.
        """
        known = self.sweeps()
        if not known:
            raise SweepNotFoundError("no sweeps yet; start one with: meltpoint run SPEC")
        if reference == "last":
            return known[0]
        exact = [s for s in known if s.id == reference] or [s for s in known if s.name == reference]
        prefixes = (reference, f"s-{reference}") if reference else ()
        found = exact[:1] or [sweep for sweep in known if sweep.id.startswith(prefixes)]
        if len(found) == 1:
            return found[0]
        if found:
            raise SweepNotFoundError(f"{reference} fits {len(found)} sweeps: {', '.join(s.id for s in found)}")
        raise SweepNotFoundError(f"no sweep {reference}; `meltpoint ls` lists the {len(known)} there are")

    def sweeps(self) -> list[Sweep]:
        """All sweeps, newest first."""
        query = select(tables.sweeps).order_by(tables.sweeps.c.created_at.desc(), tables.sweeps.c.id)
        return [_sweep(row) for row in self._rows(query)]

    def trial_counts(self) -> dict[str, TrialCounts]:
        """How every sweep's trials stand, without their readings."""
        t = tables.trials
        query = select(t.c.sweep_id, t.c.state, func.count(), func.max(t.c.best_value), func.min(t.c.best_value))
        found: dict[str, TrialCounts] = {}
        with read_only(self._engine).connect() as connection:
            for sweep_id, state, count, highest, lowest in connection.execute(query.group_by(t.c.sweep_id, t.c.state)):
                standing = found.get(sweep_id, TrialCounts())
                found[sweep_id] = standing.with_state(TrialState(state), count, highest, lowest)
        return found

    def move_sweep(self, sweep_id: str, state: SweepState, *, error: str | None = None) -> Sweep:
        """Enter another state; MLflow is told of the start and of the end, as `sweep_<state>`.

        Raises:
            SweepNotFoundError: there is no such sweep.
            TransitionError: that state may not follow the present one.
        """
        now = self._clock()
        with self._writing() as connection:
            present = self._sweep(connection, sweep_id).state
            if not present.may_become(state):
                raise TransitionError(f"sweep {sweep_id} is {present}; it cannot become {state}")
            times: Json = {}
            if state is SweepState.RUNNING:  # for the first time or again
                first = func.coalesce(tables.sweeps.c.started_at, now)
                times = {"started_at": first, "finished_at": None, "wanted": None}
            ends = not state.is_under_way
            if ends:
                times["finished_at"] = now
            connection.execute(
                update(tables.sweeps)
                .where(tables.sweeps.c.id == sweep_id)
                .values(state=state.value, error=error, **times)
            )
            if ends or state is SweepState.RUNNING:
                self.outbox.add(connection, [(f"sweep_{state}", {})], sweep_id=sweep_id)
            if state is SweepState.INTERRUPTED:
                self._pause_trials(connection, sweep_id)
            return self._sweep(connection, sweep_id)

    @staticmethod
    def _pause_trials(connection: Connection, sweep_id: str) -> None:
        t, a = tables.trials, tables.attempts
        running = select(t.c.id).where(t.c.sweep_id == sweep_id, t.c.state == TrialState.RUNNING.value)
        connection.execute(
            update(a)
            .where(a.c.trial_id.in_(running), a.c.state == TrialState.RUNNING.value)
            .values(state=TrialState.PAUSED.value)
        )
        connection.execute(update(t).where(t.c.id.in_(running)).values(state=TrialState.PAUSED.value))

    def request_action(self, sweep_id: str, what: SweepAction) -> None:
        """Ask whoever drives the sweep for something; the last action counts."""
        with self._writing() as connection:
            connection.execute(update(tables.sweeps).where(tables.sweeps.c.id == sweep_id).values(wanted=what.value))

    def requested_action(self, sweep_id: str) -> SweepAction | None:
        """What was asked of whoever drives the sweep since it last began to run."""
        (row,) = self._rows(select(tables.sweeps.c.wanted).where(tables.sweeps.c.id == sweep_id))
        return None if row["wanted"] is None else SweepAction(row["wanted"])

    def note_sweep(self, sweep_id: str, **columns: Any) -> None:
        """Write facts that are not a state: `best_trial_id`, `mlflow`, `registered`, `spec_text`."""
        assert columns.keys() <= {"best_trial_id", "mlflow", "registered", "spec_text"}, columns
        with self._writing() as connection:
            connection.execute(update(tables.sweeps).where(tables.sweeps.c.id == sweep_id).values(**columns))

    def create_trial(
        self,
        sweep_id: str,
        *,
        number: int,
        point: Json,
        recipe: Json,
        identity: str,
        seed: int,
        started: bool = False,
    ) -> Trial:
        """A pending trial, or `started` at once in its first attempt; its id is the sweep's with the number behind."""
        now = self._clock()
        trial = Trial(
            id=f"{sweep_id}-{number:04d}",
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
        )
        with self._writing() as connection:
            connection.execute(insert(tables.trials), _columns(trial))
            if started:
                self._begin_attempt(connection, trial, now)
                _enter(connection, trial, JournalEntry(trial_id=trial.id, kind=JournalEvent.ASKED))
        return trial

    def trial(self, trial_id: str) -> Trial:
        with read_only(self._engine).connect() as connection:
            return self._trial(connection, trial_id)

    def trials(self, sweep_id: str) -> list[Trial]:
        """All trials of a sweep, by number."""
        query = select(tables.trials).where(tables.trials.c.sweep_id == sweep_id).order_by(tables.trials.c.number)
        return [_trial(row) for row in self._rows(query)]

    def start_attempt(self, trial_id: str) -> Trial:
        """The trial in its next attempt (counted from 1), running from now on."""
        now = self._clock()
        with self._writing() as connection:
            trial = self._trial(connection, trial_id)
            self._check_move(trial, TrialState.RUNNING)
            attempt = trial.attempt + 1
            begun = replace(trial, state=TrialState.RUNNING, attempt=attempt, started_at=trial.started_at or now)
            self._change(connection, trial, begun)
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
    ) -> Trial:
        """Add finished epochs, in order, and keep the trial's best epoch by `metric`. An epoch already there stays.

        checkpoint, latest: of the best epoch, and of the last one reported.
        sharing: what the trial computed itself and what it had from the node's cache, so far.
        ending: closes the trial in the same transaction.

        Raises:
            StaleAttemptError: `attempt` is not the trial's current one, or the trial has finished.
            TransitionError: the trial may not end so.
        """
        with self._writing() as connection:
            trial = self._trial(connection, trial_id)
            self._check_attempt(trial, attempt)
            fresh = [row for row in rows if row.epoch > trial.epochs]
            now = replace(
                trial,
                checkpoint=checkpoint or trial.checkpoint,
                latest=latest or trial.latest,
                sharing=sharing or trial.sharing,
            )
            messages: list[tuple[str, Json]] = []
            if fresh:
                insert_epochs(connection, trial_id, attempt, fresh)
                best_epoch, best_value = _best(trial, fresh, metric, goal)
                now = replace(now, epochs=fresh[-1].epoch, best_epoch=best_epoch, best_value=best_value)
                first, last = fresh[0].epoch, fresh[-1].epoch
                messages.append(("epochs", {"first": first, "last": last}))
                _enter(
                    connection,
                    trial,
                    JournalEntry(trial_id=trial_id, kind=JournalEvent.REPORTED, first=first, last=last),
                )
            if ending is not None:
                now = self._close(connection, now, ending)
            if now.state.is_finished:
                messages.append(("trial_finished", {"state": now.state.value}))
            self._change(connection, trial, now)
            self.outbox.add(connection, messages, sweep_id=trial.sweep_id, trial_id=trial_id)
        return now

    def add_reading(self, trial_id: str, *, epoch: int, split: str, metrics: Mapping[str, float]) -> None:
        """A reading outside the training loop, such as the best model's on the test images."""
        with self._writing() as connection:
            connection.execute(insert(tables.readings), [reading(trial_id, epoch, split, metrics)])

    def retry_trial(self, trial_id: str, *, attempt: int, cause: Cause, error: str) -> Trial:
        """The attempt failed; there will be another. Raises as `finish_trial`."""
        a = tables.attempts
        with self._writing() as connection:
            trial = self._trial(connection, trial_id)
            self._check_attempt(trial, attempt)
            self._check_move(trial, TrialState.RETRYING)
            failed = {"state": TrialState.FAILED.value, "finished_at": self._clock(), "error": error}
            connection.execute(
                update(a).where(a.c.trial_id == trial_id, a.c.attempt == attempt), failed | {"cause": cause.value}
            )
            waiting = replace(trial, state=TrialState.RETRYING)
            self._change(connection, trial, waiting)
        return waiting

    def failures(self, trial_id: str, cause: Cause) -> int:
        """How many attempts of the trial failed from this cause."""
        a = tables.attempts
        query = select(func.count()).where(a.c.trial_id == trial_id, a.c.cause == cause.value)
        with read_only(self._engine).connect() as connection:
            return connection.scalar(query) or 0

    def finish_trial(self, trial_id: str, *, attempt: int, ending: Ending) -> Trial:
        """Close the trial and its attempt for good.

        Raises:
            StaleAttemptError: `attempt` is not the trial's current one, or the trial has finished.
            TransitionError: the state may not follow the present one.
        """
        with self._writing() as connection:
            trial = self._trial(connection, trial_id)
            self._check_attempt(trial, attempt)
            closed = self._close(connection, trial, ending)
            self._change(connection, trial, closed)
            if attempt:
                told = [("trial_finished", {"state": ending.state.value})]
                self.outbox.add(connection, told, sweep_id=trial.sweep_id, trial_id=trial_id)
        return closed

    def cancel_sweep(self, sweep_id: str) -> Sweep:
        """Close every trial that has not finished, then the sweep. Raises as `move_sweep`."""
        reason = SweepAction.CANCEL.reason
        ending = Ending(state=TrialState.CANCELLED, error=reason)
        for trial in self.trials(sweep_id):
            if not trial.state.is_finished:
                self.finish_trial(trial.id, attempt=trial.attempt, ending=ending)
        return self.move_sweep(sweep_id, SweepState.CANCELLED, error=reason)

    def note_runs(self, shown: Mapping[str, str]) -> None:
        """Trials, by their ids, and the MLflow runs that show them."""
        with self._writing() as connection:
            for trial_id, run_id in shown.items():
                connection.execute(
                    update(tables.trials).where(tables.trials.c.id == trial_id).values(mlflow_run_id=run_id)
                )

    def epochs(self, trial_id: str) -> list[EpochRow]:
        """Every epoch's readings, in order."""
        return self.epochs_of([trial_id]).get(trial_id, [])

    def epochs_of(self, trial_ids: Iterable[str]) -> dict[str, list[EpochRow]]:
        """Every epoch's readings of several trials, in order."""
        with read_only(self._engine).connect() as connection:
            return read_epochs(connection, list(trial_ids))

    def history(self, sweep_id: str) -> SweepHistory:
        """Everything that a restart decides from."""
        trials = tuple(self.trials(sweep_id))
        j = tables.journal
        entries = self._rows(
            select(j.c.trial_id, j.c.kind, j.c.first, j.c.last).where(j.c.sweep_id == sweep_id).order_by(j.c.id)
        )
        journal = tuple(JournalEntry(**{**row, "kind": JournalEvent(row["kind"])}) for row in entries)
        return SweepHistory(trials=trials, epochs=self.epochs_of(trial.id for trial in trials), journal=journal)

    def take_lease(self, sweep_id: str, *, holder: str, seconds: float) -> Lease:
        """Become the sweep's driver, for so long after each renewal.

        holder: the machine. Its processes see by themselves whether another of them drives the sweep, so that a lease
        of the same holder is free.

        Raises LeaseError while another holder has it.
        """
        s, now = tables.sweeps, self._clock()
        with self._writing() as connection:
            query = select(s.c.driver, s.c.lease_until, s.c.driver_attempt).where(s.c.id == sweep_id)
            driver, until, attempt = connection.execute(query.with_for_update()).one()
            if driver != holder and until is not None and until > now:
                raise LeaseError(
                    f"{sweep_id} is driven from {driver}, whose lease runs out in {(until - now) / 1000:.0f} s"
                )
            lease = Lease(sweep_id=sweep_id, holder=holder, attempt=attempt + 1, seconds=seconds)
            self._extend(connection, lease, now)
        return lease

    def held_elsewhere(self, sweep_id: str, holder: str) -> bool:
        """Whether another holder than this one has the lease now."""
        s = tables.sweeps
        (row,) = self._rows(select(s.c.driver, s.c.lease_until).where(s.c.id == sweep_id))
        until = row["lease_until"]
        return until is not None and until > self._clock() and row["driver"] != holder

    def renew_lease(self, lease: Lease) -> None:
        """Raises StaleAttemptError once another driver has begun."""
        with self.under(lease)._writing() as connection:
            self._extend(connection, lease, self._clock())

    def give_up_lease(self, lease: Lease) -> None:
        """Let another driver begin at once."""
        with self._writing() as connection:
            s = tables.sweeps
            mine = (s.c.id == lease.sweep_id) & (s.c.driver_attempt == lease.attempt)
            connection.execute(update(s).where(mine).values(lease_until=None))

    @staticmethod
    def _extend(connection: Connection, lease: Lease, now: int) -> None:
        until = now + int(lease.seconds * 1000)
        connection.execute(
            update(tables.sweeps)
            .where(tables.sweeps.c.id == lease.sweep_id)
            .values(driver=lease.holder, driver_attempt=lease.attempt, lease_until=until)
        )

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction, which only the present driver of a sweep gets under its lease."""
        with self._engine.begin() as connection:
            if self._lease is not None:
                self._check_lease(connection, self._lease)
            yield connection

    @staticmethod
    def _check_lease(connection: Connection, lease: Lease) -> None:
        s = tables.sweeps
        query = select(s.c.driver_attempt).where(s.c.id == lease.sweep_id).with_for_update(read=True)
        attempt = connection.scalar(query)
        if attempt != lease.attempt:
            raise StaleAttemptError(
                f"{lease.sweep_id} is driven in attempt {attempt}; what attempt {lease.attempt} wrote was refused"
            )

    def _rows(self, query: Select[Any]) -> list[RowMapping]:
        with read_only(self._engine).connect() as connection:
            return list(connection.execute(query).mappings())

    @staticmethod
    def _sweep(connection: Connection, sweep_id: str) -> Sweep:
        row = connection.execute(select(tables.sweeps).where(tables.sweeps.c.id == sweep_id)).mappings().first()
        if row is None:
            raise SweepNotFoundError(f"no sweep {sweep_id}")
        return _sweep(row)

    @staticmethod
    def _trial(connection: Connection, trial_id: str) -> Trial:
        query = select(tables.trials).where(tables.trials.c.id == trial_id)
        return _trial(connection.execute(query).mappings().one())

    @staticmethod
    def _check_attempt(trial: Trial, attempt: int) -> None:
        if trial.state.is_finished or attempt != trial.attempt:
            raise StaleAttemptError(
                f"trial {trial.id} is {trial.state} in attempt {trial.attempt}; "
                f"a result of attempt {attempt} was refused"
            )

    @staticmethod
    def _check_move(trial: Trial, state: TrialState) -> None:
        if not trial.state.may_become(state):
            raise TransitionError(f"trial {trial.id} is {trial.state}; it cannot become {state}")

    @staticmethod
    def _change(connection: Connection, before: Trial, after: Trial) -> None:
        """Write the columns that differ."""
        was = _columns(before)
        changed = {name: value for name, value in _columns(after).items() if value != was[name]}
        if changed:
            connection.execute(update(tables.trials).where(tables.trials.c.id == before.id), changed)

    def _begin_attempt(self, connection: Connection, trial: Trial, now: int) -> None:
        attempt = {"trial_id": trial.id, "attempt": trial.attempt, "state": trial.state.value, "started_at": now}
        connection.execute(insert(tables.attempts), attempt)
        told = [("trial_started", {"attempt": trial.attempt})]
        self.outbox.add(connection, told, sweep_id=trial.sweep_id, trial_id=trial.id)

    def _close(self, connection: Connection, trial: Trial, ending: Ending) -> Trial:
        """End the attempt, and the trial unless it is only paused."""
        self._check_move(trial, ending.state)
        a, now = tables.attempts, self._clock()
        connection.execute(
            update(a).where(a.c.trial_id == trial.id, a.c.attempt == trial.attempt),
            {"state": ending.state.value, "finished_at": now, "error": ending.error},
        )
        if not ending.state.is_finished:
            return replace(trial, state=ending.state)
        _enter(connection, trial, JournalEntry(trial_id=trial.id, kind=JournalEvent.ENDED))
        return replace(trial, state=ending.state, error=ending.error, trace=ending.trace, finished_at=now)


def _enter(connection: Connection, trial: Trial, entry: JournalEntry) -> None:
    """Write one line of the sweep's journal."""
    row = vars(entry) | {"sweep_id": trial.sweep_id, "kind": entry.kind.value}
    connection.execute(insert(tables.journal), row)


def _best(trial: Trial, rows: Sequence[EpochRow], metric: str, goal: Goal) -> tuple[int | None, float | None]:
    """The first epoch with the best value; a value that is not a number never is."""
    epoch, best = trial.best_epoch, trial.best_value
    for row in rows:
        value = row.metrics().get(metric, math.nan)
        if math.isfinite(value) and goal.is_better(value, best):
            epoch, best = row.epoch, value
    return epoch, best


def _sweep(row: RowMapping) -> Sweep:
    known = {name: row[name] for name in Sweep.__dataclass_fields__}
    return Sweep(**{**known, "state": SweepState(row["state"]), "goal": Goal(row["goal"])})


def _columns(trial: Trial) -> Json:
    return {**vars(trial), "state": trial.state.value}


def _trial(row: RowMapping) -> Trial:
    return Trial(**{**row, "state": TrialState(row["state"])})
