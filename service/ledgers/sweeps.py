"""Sweeps in the ledger."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, case, func, insert, select, update

from search_spaces import Goal
from service.errors import ConflictError, TransitionError
from service.ledgers import tables
from service.ledgers.accounts.gpu_seconds import release_gpu
from service.ledgers.bulk_changes import cancel_trials, delete_rows, pause_trials
from service.ledgers.events import write_event, write_sweep_state
from service.ledgers.outbox import Outbox
from service.ledgers.records import (
    EventKind,
    Json,
    MessageKind,
    Revision,
    Sweep,
    SweepAction,
    SweepState,
    TrialCounts,
    TrialPhase,
    TrialState,
)
from service.ledgers.sweep_rows import (
    brief,
    find_submission,
    find_sweep,
    free_id,
    get_sweep,
    newest_first,
    sweep_from_row,
    unknown_sweep,
)
from service.ledgers.transactions import Transactions, batches

__all__ = ["Sweeps"]

_SWEEPS = tables.sweeps.c
_NOTES = frozenset(
    {
        *("best_trial_id", "confirmation", "data", "mlflow", "model_costs", "phase", "registered", "restarts"),
        *("settings", "spec_text", "warm_start"),
    }
)
_CHANGEABLE = frozenset({"priority", "slot_cap"})
_FIRST_DRIVER_MS = 30_000


class Sweeps:
    """Reads and writes sweeps.

    A finished sweep runs again only with more budget. MLflow is told of a change by messages, and followers by events,
    in the same transaction.

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
        model_costs: Json | None = None,
        warm_start: Json | None = None,
    ) -> Sweep:
        """Create a sweep in state `validating`, with an id of its own and without an owner."""
        columns: Json = {"name": name, "spec_text": spec_text, "spec_file": spec_file, "metric": metric}
        columns |= {"goal": goal.value, "seed": seed, "data": data, "plan": settings}
        columns |= {"model_costs": model_costs, "warm_start": warm_start}
        with self._transactions.writing() as connection:
            return self._create(connection, columns)

    def submit(
        self,
        *,
        name: str,
        spec_text: str,
        spec_file: str,
        metric: str,
        goal: Goal,
        seed: int,
        settings: Json,
        owner: str,
        priority: int = 0,
        slot_cap: int | None = None,
        idempotency_key: str | None = None,
        request_digest: str | None = None,
        warm_start: Json | None = None,
    ) -> tuple[Sweep, bool]:
        """Create a sweep for a user of the service, in state `validating`, whose images are not known yet.

        Returns the sweep, and whether it was created now: a second request of the owner with the same key and the same
        digest gets the sweep of the first.

        Raises:
            ConflictError: the owner has used the key with another digest.
        """
        columns: Json = {"name": name, "spec_text": spec_text, "spec_file": spec_file, "metric": metric}
        columns |= {"goal": goal.value, "seed": seed, "data": {}, "plan": settings}
        columns |= {"owner": owner, "priority": priority, "slot_cap": slot_cap, "warm_start": warm_start}
        columns |= {"idempotency_key": idempotency_key, "request_digest": request_digest}
        with self._transactions.writing() as connection:
            earlier = find_submission(connection, owner, idempotency_key, request_digest)
            return (self._create(connection, columns), True) if earlier is None else (earlier, False)

    def find_submission(self, owner: str, idempotency_key: str, request_digest: str) -> Sweep | None:
        """Return the sweep that `submit` would return for this key, or None if it would create one.

        Raises:
            ConflictError: the owner has used the key with another digest.
        """
        with self._transactions.reading() as connection:
            return find_submission(connection, owner, idempotency_key, request_digest)

    def get(self, sweep_id: str) -> Sweep:
        """Return the sweep of exactly this id."""
        with self._transactions.reading() as connection:
            return get_sweep(connection, sweep_id)

    def find(self, reference: str, owner: str | None = None) -> Sweep:
        """Return the sweep by id, unique prefix of an id, name (the newest of that name), or `last`.

        owner: look only at sweeps of this user, as if there were no others.

        Raises:
            SweepNotFoundError: no sweep fits, or several ids begin so.
        """
        with self._transactions.reading() as connection:
            return find_sweep(connection, reference, owner)

    def list(
        self,
        *,
        states: Collection[SweepState] | None = None,
        name: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        owner: str | None = None,
        is_brief: bool = False,
    ) -> builtins.list[Sweep]:
        """Return sweeps, newest first.

        states: states to keep; by default all. name: exact name to keep. limit: most sweeps to return.
        after: id of the last sweep of the page before. owner: user whose sweeps to keep.
        is_brief: whether the file's text, the data and the settings are left empty, which can be large.
        """
        query = newest_first(owner)
        if states is not None:
            query = query.where(_SWEEPS.state.in_([state.value for state in states]))
        if name is not None:
            query = query.where(_SWEEPS.name == name)
        if after is not None:
            before = self.get(after).created_at
            query = query.where(_SWEEPS.created_at <= before, (_SWEEPS.created_at < before) | (_SWEEPS.id > after))
        query = query.limit(limit)
        if states is not None and limit is not None:
            # The index has all that the choice needs; rows are read only of what is returned.
            query = newest_first().where(_SWEEPS.id.in_(query.with_only_columns(_SWEEPS.id).scalar_subquery()))
        rows = self._transactions.rows(brief(query) if is_brief else query)
        return [sweep_from_row(row) for row in rows]

    def get_several(self, sweep_ids: Iterable[str]) -> builtins.list[Sweep]:
        """Return the sweeps of these ids that there are, in any order."""
        sweeps = []
        for ids in batches(sweep_ids):
            query = select(tables.sweeps).where(_SWEEPS.id.in_(ids))
            sweeps += [sweep_from_row(row) for row in self._transactions.rows(query)]
        return sweeps

    def count_by_state(self) -> dict[SweepState, int]:
        """Return how many sweeps are in each state."""
        query = select(_SWEEPS.state, func.count()).group_by(_SWEEPS.state)
        with self._transactions.reading() as connection:
            counts = {SweepState(state): count for state, count in connection.execute(query)}
        return {state: counts.get(state, 0) for state in SweepState}

    def trial_counts(
        self, sweep_ids: Iterable[str], *, phase: TrialPhase = TrialPhase.SEARCH
    ) -> dict[str, TrialCounts]:
        """Return how many trials of each sweep are in which state, and the extremes of their best values.

        A trial that breaks a limit counts, but its value does not.
        Every id has an entry, that of a sweep without trials is empty.
        """
        trials = tables.trials.c
        usable = case((trials.breaks.is_(None), trials.best_value))
        query = select(trials.sweep_id, trials.state, func.count(), func.max(usable), func.min(usable))
        query = query.where(trials.phase == phase.value)
        query = query.group_by(trials.sweep_id, trials.state)
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

    def queue_confirmation(self, sweep_id: str, confirmation: Json) -> Sweep:
        """Write the confirmation that the next driver carries out, and queue the sweep, in one transaction.

        Raises:
            TransitionError: the sweep is under way, or was cancelled.
        """
        with self._transactions.writing() as connection:
            state = get_sweep(connection, sweep_id).state
            if state.is_under_way:
                raise TransitionError(f"sweep {sweep_id} is {state}; it cannot be confirmed before it ends")
            self._move(connection, sweep_id, SweepState.QUEUED, None)
            self._update(connection, sweep_id, {"phase": TrialPhase.CONFIRM.value, "confirmation": confirmation})
            return get_sweep(connection, sweep_id)

    def end_unless_revised(self, sweep_id: str, state: SweepState, *, known_text: str, error: str | None) -> bool:
        """Move the sweep to its last state, unless its file is another than `known_text`; return whether it moved.

        Raises:
            TransitionError: that state may not follow the present one.
        """
        with self._transactions.writing() as connection:
            if get_sweep(connection, sweep_id).spec_text != known_text:
                return False
            self._move(connection, sweep_id, state, error)
            return True

    def interrupt_if_undriven(self, sweep_id: str, *, dead: str | None = None, error: str) -> Sweep | None:
        """Interrupt the sweep if it is under way and no process has its lease; else return None.

        A sweep that was being cancelled becomes cancelled. A sweep that is validating is left to the service that
        will start a driver for it; without a service, it has 30 s to get its first driver.

        dead: a holder that is known to be dead, whose lease counts as free. The lease is looked up in the transaction
        of the change: a driver that begins meanwhile is not interrupted.
        """
        now, reason = self._transactions.now(), SweepAction.CANCEL.reason
        with self._transactions.writing() as connection:
            state = get_sweep(connection, sweep_id).state
            if not state.is_under_way or not _is_undriven(connection, sweep_id, dead, now):
                return None
            if state is SweepState.CANCELLING:
                cancel_trials(connection, sweep_id, reason, now)
                return self._move(connection, sweep_id, SweepState.CANCELLED, reason)
            return self._move(connection, sweep_id, SweepState.INTERRUPTED, error)

    def note(self, sweep_id: str, **columns: Any) -> None:
        """Write facts that are not a state.

        columns: any of `best_trial_id`, `confirmation`, `data`, `mlflow`, `model_costs`, `phase`, `registered`,
            `restarts`, `settings`, `spec_text` and `warm_start`.
        """
        assert columns.keys() <= _NOTES, columns
        with self._transactions.writing() as connection:
            self._update(connection, sweep_id, columns)
            if columns.get("registered") is not None:
                now = self._transactions.now()
                write_event(connection, sweep_id, EventKind.REGISTERED, columns["registered"], now=now)

    def learn(self, sweep_id: str, settings: Json) -> Sweep:
        """Add settings that are known only now, and leave the others as they are; return the sweep."""
        with self._transactions.writing() as connection:
            present = get_sweep(connection, sweep_id).settings
            self._update(connection, sweep_id, {"settings": present | settings})
            return get_sweep(connection, sweep_id)

    def change(self, sweep_id: str, revision: Revision | None = None, **columns: int | None) -> Sweep:
        """Change `priority`, `slot_cap` (None for no cap) or the file, also while the sweep runs; return the sweep.

        Followers are told of what differs.

        Raises:
            ConflictError: the file is not the one that the revision changes.
            TransitionError: the sweep has finished.
        """
        assert columns.keys() <= _CHANGEABLE, columns
        with self._transactions.writing() as connection:
            sweep = get_sweep(connection, sweep_id)
            if sweep.state.is_finished:
                raise TransitionError(f"sweep {sweep_id} is {sweep.state}; it can no longer change")
            self._change(connection, sweep, revision, columns)
            return get_sweep(connection, sweep_id)

    def revise(self, sweep_id: str, revision: Revision) -> Sweep:
        """Change the file of a sweep that is to be resumed, also of a finished one; return the sweep.

        Another budget sends a sweep that is or was being confirmed back to its search, and another rule has its
        confirmation planned anew; its retrainings stay.

        Raises:
            ConflictError: the file is not the one that the revision changes.
        """
        with self._transactions.writing() as connection:
            sweep = get_sweep(connection, sweep_id)
            self._change(connection, sweep, revision, {})
            changed = {name.partition(".")[0] for name in sweep.changes(revision.settings)}
            if "budget" in changed:
                self._update(connection, sweep_id, {"phase": TrialPhase.SEARCH.value, "confirmation": None})
            elif "confirm" in changed:
                self._update(connection, sweep_id, {"confirmation": None})
            return get_sweep(connection, sweep_id)

    def read_revision(self, sweep_id: str, known_text: str) -> str | None:
        """Return the text of the sweep's file if it is another than `known_text`, else None."""
        query = select(_SWEEPS.spec_text).where(_SWEEPS.id == sweep_id, _SWEEPS.spec_text != known_text)
        rows = self._transactions.rows(query)
        return str(rows[0]["spec_text"]) if rows else None

    def explain_waiting(self, sweep_id: str, reason: str | None) -> None:
        """Note why the sweep waits, for people; None if it does not wait. Each new state removes the reason."""
        with self._transactions.writing() as connection:
            self._update(connection, sweep_id, {"waiting_for": reason})

    def request_action(self, sweep_id: str, action: SweepAction) -> None:
        """Ask the process that drives the sweep, or will, for an action; the last request counts."""
        with self._transactions.writing() as connection:
            self._update(connection, sweep_id, {"wanted": action.value})

    def requested_action(self, sweep_id: str) -> SweepAction | None:
        """Return the action that was last requested since the sweep was created or resumed; None if there is none."""
        rows = self._transactions.rows(select(_SWEEPS.wanted).where(_SWEEPS.id == sweep_id))
        if not rows:
            raise unknown_sweep(sweep_id)
        return None if rows[0]["wanted"] is None else SweepAction(rows[0]["wanted"])

    def list_requests(self, states: Iterable[SweepState]) -> builtins.list[tuple[Sweep, SweepAction]]:
        """Return the sweeps in these states of which an action is requested, with the action."""
        chosen = _SWEEPS.state.in_([state.value for state in states]) & _SWEEPS.wanted.is_not(None)
        rows = self._transactions.rows(select(tables.sweeps).where(chosen))
        return [(sweep_from_row(row), SweepAction(row["wanted"])) for row in rows]

    def cancel(self, sweep_id: str) -> Sweep:
        """End every unfinished trial and then the sweep as cancelled, in one transaction.

        If the sweep is being confirmed, only its confirmation ends: its search has ended before, so that the sweep is
        completed, and can be confirmed again.

        Raises:
            TransitionError: the sweep has finished.
        """
        reason = SweepAction.CANCEL.reason
        with self._transactions.writing() as connection:
            cancel_trials(connection, sweep_id, reason, self._transactions.now())
            if get_sweep(connection, sweep_id).phase is TrialPhase.CONFIRM:
                return self._move(connection, sweep_id, SweepState.COMPLETED, f"its confirmation was {reason}")
            return self._move(connection, sweep_id, SweepState.CANCELLED, reason)

    def delete(self, sweep_id: str) -> None:
        """Delete a sweep that no process drives, with every row about it, in one transaction.

        Raises:
            TransitionError: the sweep is under way.
        """
        with self._transactions.writing() as connection:
            state = get_sweep(connection, sweep_id).state
            if state.is_under_way:
                raise TransitionError(f"sweep {sweep_id} is {state}; it cannot be deleted before it ends")
            delete_rows(connection, sweep_id)

    def _create(self, connection: Connection, columns: Json) -> Sweep:
        sweep_id, now, state = free_id(connection), self._transactions.now(), SweepState.VALIDATING
        columns = columns | {"id": sweep_id, "state": state.value, "created_at": now}
        connection.execute(insert(tables.sweeps).values(**columns))
        write_sweep_state(connection, sweep_id, state, None, now)
        return get_sweep(connection, sweep_id)

    def _change(
        self,
        connection: Connection,
        sweep: Sweep,
        revision: Revision | None,
        columns: dict[str, int | None],
    ) -> None:
        """Write the new values of columns and the revision, and the event that tells what differs."""
        changes: dict[str, tuple[object, object]] = {
            name: (getattr(sweep, name), value) for name, value in columns.items() if getattr(sweep, name) != value
        }
        written: Json = dict(columns)
        if revision is not None:
            if sweep.spec_text != revision.old_text:
                raise ConflictError(f"{sweep.id} was changed by somebody else just now; look at it and try again")
            changes |= sweep.changes(revision.settings)
            written |= {"spec_text": revision.text, "settings": sweep.revised_settings(revision.settings)}
        if written:
            self._update(connection, sweep.id, written)
        if changes:
            payload = {"changes": {name: list(pair) for name, pair in changes.items()}}
            write_event(connection, sweep.id, EventKind.SWEEP_CHANGED, payload, now=self._transactions.now())

    def _update(self, connection: Connection, sweep_id: str, columns: Json) -> None:
        columns = {"plan" if name == "settings" else name: value for name, value in columns.items()}
        if not connection.execute(update(tables.sweeps).where(_SWEEPS.id == sweep_id).values(**columns)).rowcount:
            raise unknown_sweep(sweep_id)

    def _move(self, connection: Connection, sweep_id: str, state: SweepState, error: str | None) -> Sweep:
        now = self._transactions.now()
        sweep = get_sweep(connection, sweep_id)
        present = sweep.state
        if not present.may_become(state):
            raise TransitionError(f"sweep {sweep_id} is {present}; it cannot become {state}")
        columns: Json = {"state": state.value, "error": error, "waiting_for": None}
        if state is SweepState.QUEUED:
            columns["queued_at"] = now
        if state is SweepState.RUNNING:  # for the first time or again
            columns["started_at"] = func.coalesce(_SWEEPS.started_at, now)
        if state.is_under_way and not present.is_under_way:
            columns |= {"finished_at": None, "wanted": None}
        if not state.is_under_way:
            columns["finished_at"] = now
        self._update(connection, sweep_id, columns)
        kind = MessageKind.for_sweep(state)
        has_run = sweep.started_at is not None or state is SweepState.RUNNING
        if kind is not None and has_run:  # MLflow never hears of a sweep that did not begin
            kinds = [kind, MessageKind.REPORT] if state.is_finished else [kind]
            self._outbox.add(connection, [(kind, {}) for kind in kinds], sweep_id=sweep_id)
        if not state.is_under_way:
            release_gpu(connection, sweep_id)
        if state is SweepState.INTERRUPTED:
            pause_trials(connection, sweep_id, error, now)
        write_sweep_state(connection, sweep_id, state, error, now)
        return get_sweep(connection, sweep_id)


def _is_undriven(connection: Connection, sweep_id: str, dead: str | None, now: int) -> bool:
    """Return whether no living process has the sweep's lease, and its first driver, if it had none, is late."""
    query = select(_SWEEPS.state, _SWEEPS.driver, _SWEEPS.lease_until, _SWEEPS.owner, _SWEEPS.created_at)
    state, driver, until, owner, created_at = connection.execute(query.where(_SWEEPS.id == sweep_id)).one()
    if SweepState(state) is SweepState.VALIDATING and owner is not None:
        return False
    if SweepState(state) is SweepState.VALIDATING and driver is None and created_at + _FIRST_DRIVER_MS > now:
        return False
    return until is None or until <= now or driver == dead
