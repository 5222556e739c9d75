"""Sweeps in the ledger."""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, insert, select, update

from search_spaces import Goal
from service.errors import SweepNotFoundError, TransitionError
from service.ledgers import tables
from service.ledgers.bulk_changes import cancel_trials, pause_trials
from service.ledgers.messages import MessageKind
from service.ledgers.outbox import Outbox
from service.ledgers.records import Json, Sweep, SweepAction, TrialCounts
from service.ledgers.states import SweepState, TrialState
from service.ledgers.transactions import Transactions, batches

__all__ = ["Sweeps"]

_SWEEPS = tables.sweeps.c
_NOTES = frozenset({"best_trial_id", "mlflow", "registered", "spec_text"})
_MOST_NAMED = 8


class Sweeps:
    """Reads and writes sweeps.

    A finished sweep runs again only with more budget. MLflow is told of a change by messages in the same transaction.

    Thread safety: any thread or process may call; each call that writes is one transaction.
    Raises (any method that takes an id): SweepNotFoundError if there is no such sweep.
    """

    def __init__(self, transactions: Transactions, outbox: Outbox) -> None:
        self._transactions, self._outbox = transactions, outbox

    def create(
        self,
        *,
        name: str,
        spec_text: str,
        spec_file: str,
        metric: str,
        goal: Goal,
        seed: int,
        data: Json,
        settings: Json,
    ) -> Sweep:
        """Create a sweep in state `validating`, with an id of its own."""
        with self._transactions.writing() as connection:
            sweep_id = _free_id(connection)
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
                    plan=settings,
                    created_at=self._transactions.now(),
                )
            )
            return _get(connection, sweep_id)

    def get(self, sweep_id: str) -> Sweep:
        """Return the sweep of exactly this id."""
        with self._transactions.reading() as connection:
            return _get(connection, sweep_id)

    def find(self, reference: str) -> Sweep:
        """Return the sweep by id, unique prefix of an id, name (the newest of that name), or `last`.

        Raises:
            SweepNotFoundError: no sweep fits, or several ids begin so.
        """
        newest = _newest_first()
        with self._transactions.reading() as connection:

            def first(query: Select[Any]) -> Sweep | None:
                row = connection.execute(query.limit(1)).mappings().first()
                return None if row is None else _from_row(row)

            last = first(newest)
            if last is None:
                raise SweepNotFoundError("no sweeps yet; start one with: meltpoint run SPEC")
            if reference == "last":
                return last
            exact = first(newest.where(_SWEEPS.id == reference)) or first(newest.where(_SWEEPS.name == reference))
            if exact is not None:
                return exact
            fitting = newest.where(_begins_with(reference) | _begins_with(f"s-{reference}")) if reference else None
            rows = [] if fitting is None else connection.execute(fitting.limit(_MOST_NAMED + 1)).mappings().all()
            if len(rows) == 1:
                return _from_row(rows[0])
            if rows:
                raise SweepNotFoundError(f"{reference} fits {_several([row['id'] for row in rows])}")
            count = connection.scalar(select(func.count()).select_from(tables.sweeps))
        raise SweepNotFoundError(f"no sweep {reference}; `meltpoint ls` lists the {count} there are")

    def list(
        self,
        *,
        states: Collection[SweepState] | None = None,
        name: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> builtins.list[Sweep]:
        """Return sweeps, newest first.

        states: states to keep; by default all. name: exact name to keep. limit: most sweeps to return.
        after: id of the last sweep of the page before.
        """
        query = _newest_first()
        if states is not None:
            query = query.where(_SWEEPS.state.in_([state.value for state in states]))
        if name is not None:
            query = query.where(_SWEEPS.name == name)
        if after is not None:
            before = self.get(after).created_at
            query = query.where((_SWEEPS.created_at < before) | ((_SWEEPS.created_at == before) & (_SWEEPS.id > after)))
        return [_from_row(row) for row in self._transactions.rows(query.limit(limit))]

    def trial_counts(self, sweep_ids: Iterable[str]) -> dict[str, TrialCounts]:
        """Return how many trials of each sweep are in which state, and the extremes of their best values.

        Every id has an entry, that of a sweep without trials is empty.
        """
        trials = tables.trials.c
        query = select(
            trials.sweep_id, trials.state, func.count(), func.max(trials.best_value), func.min(trials.best_value)
        ).group_by(trials.sweep_id, trials.state)
        counts: dict[str, TrialCounts] = {}
        with self._transactions.reading() as connection:
            for ids in batches(sweep_ids):
                counts |= dict.fromkeys(ids, TrialCounts())
                for sweep_id, state, count, highest, lowest in connection.execute(
                    query.where(trials.sweep_id.in_(ids))
                ):
                    counts[sweep_id] = counts[sweep_id].with_state(TrialState(state), count, highest, lowest)
        return counts

    def move(self, sweep_id: str, state: SweepState, *, error: str | None = None) -> Sweep:
        """Move the sweep to another state; MLflow is told of the start and of the end.

        Raises:
            TransitionError: that state may not follow the present one.
        """
        with self._transactions.writing() as connection:
            return self._move(connection, sweep_id, state, error)

    def note(self, sweep_id: str, **columns: Any) -> None:
        """Write facts that are not a state: `best_trial_id`, `mlflow`, `registered`, `spec_text`."""
        assert columns.keys() <= _NOTES, columns
        self._update(sweep_id, columns)

    def request_action(self, sweep_id: str, action: SweepAction) -> None:
        """Ask the process that drives the sweep for an action; the last request counts."""
        self._update(sweep_id, {"wanted": action.value})

    def requested_action(self, sweep_id: str) -> SweepAction | None:
        """Return the action that was last requested since the sweep began to run; None if there is none."""
        rows = self._transactions.rows(select(_SWEEPS.wanted).where(_SWEEPS.id == sweep_id))
        if not rows:
            raise _unknown(sweep_id)
        return None if rows[0]["wanted"] is None else SweepAction(rows[0]["wanted"])

    def cancel(self, sweep_id: str) -> Sweep:
        """End every unfinished trial and then the sweep as cancelled, in one transaction.

        Raises:
            TransitionError: the sweep has finished.
        """
        reason = SweepAction.CANCEL.reason
        with self._transactions.writing() as connection:
            cancel_trials(connection, sweep_id, reason, self._transactions.now())
            return self._move(connection, sweep_id, SweepState.CANCELLED, reason)

    def _update(self, sweep_id: str, columns: Json) -> None:
        with self._transactions.writing() as connection:
            changed = connection.execute(update(tables.sweeps).where(_SWEEPS.id == sweep_id).values(**columns))
            if not changed.rowcount:
                raise _unknown(sweep_id)

    def _move(self, connection: Connection, sweep_id: str, state: SweepState, error: str | None) -> Sweep:
        now = self._transactions.now()
        present = _get(connection, sweep_id).state
        if not present.may_become(state):
            raise TransitionError(f"sweep {sweep_id} is {present}; it cannot become {state}")
        columns: Json = {"state": state.value, "error": error}
        if state is SweepState.RUNNING:  # for the first time or again
            columns |= {"started_at": func.coalesce(_SWEEPS.started_at, now), "finished_at": None, "wanted": None}
        if not state.is_under_way:
            columns["finished_at"] = now
        connection.execute(update(tables.sweeps).where(_SWEEPS.id == sweep_id).values(**columns))
        kind = MessageKind.for_sweep(state)
        if kind is not None:
            self._outbox.add(connection, [(kind, {})], sweep_id=sweep_id)
        if state is SweepState.INTERRUPTED:
            pause_trials(connection, sweep_id)
        return _get(connection, sweep_id)


def _newest_first() -> Select[Any]:
    return select(tables.sweeps).order_by(_SWEEPS.created_at.desc(), _SWEEPS.id)


def _begins_with(prefix: str) -> Any:
    """Compare letter by letter; LIKE would not tell capitals from small letters in SQLite."""
    return func.substr(_SWEEPS.id, 1, len(prefix)) == prefix


def _several(ids: list[str]) -> str:
    if len(ids) > _MOST_NAMED:
        return f"more than {_MOST_NAMED} sweeps: {', '.join(ids[:_MOST_NAMED])}, ..."
    return f"{len(ids)} sweeps: {', '.join(ids)}"


def _free_id(connection: Connection) -> str:
    while True:
        sweep_id = f"s-{secrets.token_hex(3)}"
        if connection.scalar(select(_SWEEPS.id).where(_SWEEPS.id == sweep_id)) is None:
            return sweep_id


def _get(connection: Connection, sweep_id: str) -> Sweep:
    row = connection.execute(select(tables.sweeps).where(_SWEEPS.id == sweep_id)).mappings().first()
    if row is None:
        raise _unknown(sweep_id)
    return _from_row(row)


def _unknown(sweep_id: str) -> SweepNotFoundError:
    return SweepNotFoundError(f"no sweep {sweep_id}")


def _from_row(row: RowMapping) -> Sweep:
    """Make the record; the settings' column has an older name."""
    values = {name: row[name] for name in Sweep.__dataclass_fields__ if name != "settings"}
    return Sweep(**values | {"state": SweepState(row["state"]), "goal": Goal(row["goal"]), "settings": row["plan"]})
