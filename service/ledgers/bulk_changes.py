"""Changes to all trials of a sweep at once, in statements that do not grow with the number of trials."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Connection, Insert, delete, insert, literal, null, select, update

from service.ledgers import tables
from service.ledgers.events import events_for
from service.ledgers.records import EventKind, JournalEvent, Json, MessageKind, TrialState

__all__ = ["cancel_trials", "delete_rows", "pause_trials"]

_UNFINISHED = tuple(state.value for state in TrialState if not state.is_finished)
_OPEN_ATTEMPTS = (TrialState.RUNNING.value, TrialState.PAUSED.value)


def pause_trials(connection: Connection, sweep_id: str, reason: str | None, now: int) -> None:
    """Pause every running trial with its attempt; followers are told, MLflow is not."""
    trials, attempts = tables.trials.c, tables.attempts.c
    running = select(trials.id).where(trials.sweep_id == sweep_id, trials.state == TrialState.RUNNING.value)
    paused = {"state": TrialState.PAUSED.value}
    rows = select(trials.sweep_id, trials.id).where(trials.id.in_(running)).order_by(trials.number)
    payload = {"state": TrialState.PAUSED.value, "error": reason}
    connection.execute(events_for(connection, rows, EventKind.TRIAL_WAITING, payload, now=now))
    connection.execute(
        update(tables.attempts)
        .where(attempts.trial_id.in_(running), attempts.state == TrialState.RUNNING.value)
        .values(paused)
    )
    connection.execute(update(tables.trials).where(trials.id.in_(running)).values(paused))


def cancel_trials(connection: Connection, sweep_id: str, reason: str, now: int) -> None:
    """End every unfinished trial, with an event for each, and a message for each that MLflow knows."""
    trials, attempts = tables.trials.c, tables.attempts.c
    unfinished = (trials.sweep_id == sweep_id) & trials.state.in_(_UNFINISHED)
    cancelled = TrialState.CANCELLED.value
    connection.execute(_messages_for(unfinished & (trials.attempt > 0), {"state": cancelled}, now))
    connection.execute(
        insert(tables.journal).from_select(
            ["sweep_id", "trial_id", "kind"],
            select(trials.sweep_id, trials.id, literal(JournalEvent.ENDED.value))
            .where(unfinished)
            .order_by(trials.number),
        )
    )
    rows = select(trials.sweep_id, trials.id).where(unfinished).order_by(trials.number)
    payload = {"state": cancelled, "best_value": trials.best_value, "error": reason}
    connection.execute(events_for(connection, rows, EventKind.TRIAL_ENDED, payload, now=now))
    ended = {"state": cancelled, "finished_at": now, "error": reason}
    connection.execute(
        update(tables.attempts)
        .where(attempts.trial_id.in_(select(trials.id).where(unfinished)), attempts.state.in_(_OPEN_ATTEMPTS))
        .values(ended)
    )
    connection.execute(update(tables.trials).where(unfinished).values(ended | {"trace": null()}))


def delete_rows(connection: Connection, sweep_id: str) -> None:
    """Delete a sweep and every row about it."""
    trials = select(tables.trials.c.id).where(tables.trials.c.sweep_id == sweep_id)
    for table in (tables.predictions, tables.readings, tables.epochs, tables.attempts):
        connection.execute(delete(table).where(table.c.trial_id.in_(trials)))
    for table in (tables.journal, tables.outbox, tables.events, tables.split_labels, tables.trials):
        connection.execute(delete(table).where(table.c.sweep_id == sweep_id))
    connection.execute(delete(tables.sweeps).where(tables.sweeps.c.id == sweep_id))


def _messages_for(trials_that: Any, payload: Json, now: int) -> Insert:
    trials = tables.trials.c
    columns = ["sweep_id", "trial_id", "kind", "payload", "created_at", "tries"]
    rows = (
        select(
            trials.sweep_id,
            trials.id,
            literal(MessageKind.TRIAL_FINISHED.value),
            literal(payload, JSON),
            literal(now),
            literal(0),
        )
        .where(trials_that)
        .order_by(trials.number)
    )
    return insert(tables.outbox).from_select(columns, rows)
