"""The ledger: the truth about sweeps, trials, epochs and what MLflow has still to be told."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, func, insert, select, update

from service import tables
from service.databases import open_database, read_only
from service.errors import StaleAttemptError, SweepNotFoundError, TransitionError
from service.outboxes import Clock, Outbox
from service.records import EpochRow, Json, Standing, Sweep, Trial
from service.states import SweepState, TrialState


class Ledger:
    """One store over SQLAlchemy.

    Ownership: the ledger owns its engine; `close` releases it. Every method that writes is one transaction, taken
    before it reads: it happened or it did not, and nobody came between. What MLflow must be told about a change is
    written to the `outbox` in the same transaction.
    Thread safety: methods may be called from several threads and processes; each takes its own connection.
    A finished trial takes no more epochs and no other state, a finished sweep no other state; what MLflow called
    them, and the test reading of the best, are noted afterwards.

    Raises (any method): LedgerError when the database cannot be opened; SQLAlchemy's errors when it fails later.
    """

    def __init__(self, url: str, *, clock: Clock) -> None:
        self._engine: Engine = open_database(url)
        self._clock = clock
        self.outbox = Outbox(self._engine, clock)

    @classmethod
    def at(cls, path: Path, *, clock: Clock) -> Ledger:
        return cls(f"sqlite:///{path}", clock=clock)

    def close(self) -> None:
        self._engine.dispose()

    def create_sweep(
        self,
        *,
        name: str,
        spec_text: str,
        spec_file: str,
        metric: str,
        goal: str,
        seed: int,
        data: Json,
        plan: Json,
    ) -> Sweep:
        """A new sweep in state `validating`, with an id of its own."""
        with self._engine.begin() as connection:
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
                    goal=goal,
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

    def standings(self) -> dict[str, Standing]:
        """How every sweep's trials stand, without their readings."""
        t = tables.trials
        query = select(t.c.sweep_id, t.c.state, func.count(), func.max(t.c.best_value), func.min(t.c.best_value))
        found: dict[str, Standing] = {}
        with read_only(self._engine).connect() as connection:
            for sweep_id, state, count, highest, lowest in connection.execute(query.group_by(t.c.sweep_id, t.c.state)):
                standing = found.get(sweep_id, Standing())
                found[sweep_id] = standing.with_state(TrialState(state), count, highest, lowest)
        return found

    def move_sweep(self, sweep_id: str, state: SweepState, *, error: str | None = None) -> Sweep:
        """Enter another state; MLflow is told of the start and of the end, as `sweep_<state>`.

        Raises:
            SweepNotFoundError: there is no such sweep.
            TransitionError: that state may not follow the present one.
        """
        now = self._clock()
        with self._engine.begin() as connection:
            present = self._sweep(connection, sweep_id).state
            if not present.may_become(state):
                raise TransitionError(f"sweep {sweep_id} is {present}; it cannot become {state}")
            times = {"started_at": now} if state is SweepState.RUNNING else {}
            ends = state.is_finished or state is SweepState.INTERRUPTED
            if ends:
                times["finished_at"] = now
            connection.execute(
                update(tables.sweeps)
                .where(tables.sweeps.c.id == sweep_id)
                .values(state=state.value, error=error, **times)
            )
            if ends or state is SweepState.RUNNING:
                self.outbox.add(connection, sweep_id=sweep_id, kind=f"sweep_{state}", payload={})
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

    def note_sweep(self, sweep_id: str, **columns: Any) -> None:
        """Write facts that are not a state: `best_trial_id`, `mlflow`, `registered`."""
        assert columns.keys() <= {"best_trial_id", "mlflow", "registered"}, columns
        with self._engine.begin() as connection:
            connection.execute(update(tables.sweeps).where(tables.sweeps.c.id == sweep_id).values(**columns))

    def create_trial(self, sweep_id: str, *, number: int, point: Json, recipe: Json, identity: str, seed: int) -> Trial:
        """A pending trial; its id is the sweep's with the number behind it."""
        trial_id = f"{sweep_id}-{number:04d}"
        with self._engine.begin() as connection:
            connection.execute(
                insert(tables.trials).values(
                    id=trial_id,
                    sweep_id=sweep_id,
                    number=number,
                    point=point,
                    recipe=recipe,
                    identity=identity,
                    seed=seed,
                    state=TrialState.PENDING.value,
                    attempt=0,
                    epochs=0,
                    created_at=self._clock(),
                )
            )
            return self._trial(connection, trial_id)

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
        with self._engine.begin() as connection:
            trial = self._trial(connection, trial_id)
            self._check_move(trial, TrialState.RUNNING)
            attempt = trial.attempt + 1
            connection.execute(
                insert(tables.attempts).values(
                    trial_id=trial_id,
                    attempt=attempt,
                    state=TrialState.RUNNING.value,
                    started_at=now,
                )
            )
            self._change(
                connection,
                trial_id,
                state=TrialState.RUNNING.value,
                attempt=attempt,
                started_at=trial.started_at or now,
            )
            self.outbox.add(
                connection,
                sweep_id=trial.sweep_id,
                trial_id=trial_id,
                kind="trial_started",
                payload={"attempt": attempt},
            )
            return self._trial(connection, trial_id)

    def record_epochs(
        self,
        trial_id: str,
        *,
        attempt: int,
        rows: Sequence[EpochRow],
        metric: str,
        maximize: bool,
        checkpoint: str | None = None,
        sharing: Json | None = None,
    ) -> Trial:
        """Add finished epochs, in order, and keep the trial's best epoch by `metric`. An epoch already there stays.

        sharing: what the trial computed itself and what it had from the node's cache, so far.

        Raises:
            StaleAttemptError: `attempt` is not the trial's current one, or the trial has finished.
        """
        with self._engine.begin() as connection:
            trial = self._trial(connection, trial_id)
            self._check_attempt(trial, attempt)
            fresh = [row for row in rows if row.epoch > trial.epochs]
            if fresh:
                self._insert_epochs(connection, trial_id, attempt, fresh)
                best_epoch, best_value = _best(trial, fresh, metric, maximize)
                self._change(
                    connection,
                    trial_id,
                    epochs=fresh[-1].epoch,
                    best_epoch=best_epoch,
                    best_value=best_value,
                    checkpoint=checkpoint or trial.checkpoint,
                    sharing=sharing or trial.sharing,
                )
                span = {"first": fresh[0].epoch, "last": fresh[-1].epoch}
                self.outbox.add(connection, sweep_id=trial.sweep_id, trial_id=trial_id, kind="epochs", payload=span)
            return self._trial(connection, trial_id)

    def add_reading(self, trial_id: str, *, epoch: int, split: str, metrics: Mapping[str, float]) -> None:
        """A reading outside the training loop, such as the best model's on the test images."""
        with self._engine.begin() as connection:
            connection.execute(insert(tables.readings).values(_reading(trial_id, epoch, split, metrics)))

    def finish_trial(
        self,
        trial_id: str,
        *,
        attempt: int,
        state: TrialState,
        error: str | None = None,
        trace: str | None = None,
    ) -> Trial:
        """Close the trial and its attempt for good.

        Raises:
            StaleAttemptError: `attempt` is not the trial's current one, or the trial has finished.
            TransitionError: the state may not follow the present one.
        """
        assert state.is_finished, state
        now = self._clock()
        with self._engine.begin() as connection:
            trial = self._trial(connection, trial_id)
            self._check_attempt(trial, attempt)
            self._check_move(trial, state)
            self._change(connection, trial_id, state=state.value, error=error, trace=trace, finished_at=now)
            connection.execute(
                update(tables.attempts)
                .where(tables.attempts.c.trial_id == trial_id, tables.attempts.c.attempt == attempt)
                .values(state=state.value, finished_at=now, error=error)
            )
            if attempt:
                self.outbox.add(
                    connection,
                    sweep_id=trial.sweep_id,
                    trial_id=trial_id,
                    kind="trial_finished",
                    payload={"state": state.value},
                )
            return self._trial(connection, trial_id)

    def note_run(self, trial_id: str, mlflow_run_id: str) -> None:
        """The MLflow run that shows this trial."""
        with self._engine.begin() as connection:
            self._change(connection, trial_id, mlflow_run_id=mlflow_run_id)

    def epochs(self, trial_id: str) -> list[EpochRow]:
        """Every epoch's readings, in order."""
        return self.epochs_of([trial_id]).get(trial_id, [])

    def epochs_of(self, trial_ids: Iterable[str]) -> dict[str, list[EpochRow]]:
        """Every epoch's readings of several trials, in order."""
        ids = list(trial_ids)
        e, r = tables.epochs, tables.readings
        marks = self._rows(select(e).where(e.c.trial_id.in_(ids)).order_by(e.c.trial_id, e.c.epoch))
        by_epoch: dict[tuple[str, int], dict[str, dict[str, float]]] = {}
        for row in self._rows(select(r).where(r.c.trial_id.in_(ids))):
            by_epoch.setdefault((row["trial_id"], row["epoch"]), {})[row["split"]] = {
                name: math.nan if value is None else value for name, value in row["metrics"].items()
            }
        found: dict[str, list[EpochRow]] = {}
        for mark in marks:
            found.setdefault(mark["trial_id"], []).append(
                EpochRow(
                    epoch=mark["epoch"],
                    seconds=mark["seconds"],
                    recorded_at=mark["recorded_at"],
                    readings=by_epoch.get((mark["trial_id"], mark["epoch"]), {}),
                )
            )
        return found

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
    def _change(connection: Connection, trial_id: str, **columns: Any) -> None:
        connection.execute(update(tables.trials).where(tables.trials.c.id == trial_id).values(**columns))

    @staticmethod
    def _insert_epochs(connection: Connection, trial_id: str, attempt: int, rows: Sequence[EpochRow]) -> None:
        connection.execute(
            insert(tables.epochs),
            [
                {
                    "trial_id": trial_id,
                    "epoch": row.epoch,
                    "attempt": attempt,
                    "seconds": row.seconds,
                    "recorded_at": row.recorded_at,
                }
                for row in rows
            ],
        )
        connection.execute(
            insert(tables.readings),
            [_reading(trial_id, row.epoch, split, of) for row in rows for split, of in row.readings.items()],
        )


def _best(trial: Trial, rows: Sequence[EpochRow], metric: str, maximize: bool) -> tuple[int | None, float | None]:
    """The first epoch with the best value; a value that is not a number never is."""
    epoch, best = trial.best_epoch, trial.best_value
    for row in rows:
        value = row.metrics().get(metric, math.nan)
        if math.isfinite(value) and (best is None or (value > best if maximize else value < best)):
            epoch, best = row.epoch, value
    return epoch, best


def _reading(trial_id: str, epoch: int, split: str, metrics: Mapping[str, float]) -> Json:
    finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    return {"trial_id": trial_id, "epoch": epoch, "split": split, "metrics": finite}


def _sweep(row: RowMapping) -> Sweep:
    return Sweep(**{**row, "state": SweepState(row["state"])})


def _trial(row: RowMapping) -> Trial:
    return Trial(**{**row, "state": TrialState(row["state"])})
