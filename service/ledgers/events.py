"""Events in the ledger: followers of a sweep read how it goes, in the order in which it happened."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Select, case, func, insert, literal, null, select
from sqlalchemy.types import Text

from service.ledgers.records import Event, EventKind, Json, SweepState
from service.ledgers.tables import events
from service.ledgers.transactions import Transactions, check_sweep

__all__ = ["Events", "events_for", "write_event", "write_sweep_state"]


class Events:
    """Adds events to sweeps, and reads them in pages.

    Ids rise in the order of commits, because writers are let in one at a time: a reader that goes on after the last id
    that it has read misses nothing. Ids of one sweep have gaps.

    Thread safety: any thread or process may call; each call is one transaction.
    Raises (any method): SweepNotFoundError if there is no such sweep.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, sweep_id: str, kind: EventKind, payload: Json, trial_id: str | None = None) -> int:
        """Add one event in a transaction of its own, and return its id; the payload must hold finite numbers only."""
        with self._transactions.writing() as connection:
            check_sweep(connection, sweep_id)
            return write_event(connection, sweep_id, kind, payload, now=self._transactions.now(), trial_id=trial_id)

    def after(self, sweep_id: str, event_id: int, limit: int = 500) -> list[Event]:
        """Return at most `limit` events of a sweep with an id greater than `event_id`, oldest first."""
        query = select(events).where(events.c.sweep_id == sweep_id, events.c.id > event_id)
        with self._transactions.reading() as connection:
            rows = connection.execute(query.order_by(events.c.id).limit(limit)).mappings().all()
            if not rows:
                check_sweep(connection, sweep_id)
        return [Event(**{**row, "kind": EventKind(row["kind"])}) for row in rows]

    def notices(self, sweep_id: str, event_id: int = 0) -> list[str]:
        """Return the texts of a sweep's notices with an id greater than `event_id`, oldest first."""
        query = select(events.c.payload).where(
            events.c.sweep_id == sweep_id, events.c.id > event_id, events.c.kind == EventKind.NOTICE.value
        )
        with self._transactions.reading() as connection:
            payloads = connection.scalars(query.order_by(events.c.id)).all()
            if not payloads:
                check_sweep(connection, sweep_id)
        return [str(payload.get("text")) for payload in payloads]

    def last_id(self, sweep_id: str) -> int:
        """Return the id of the newest event of a sweep; 0 if there is none."""
        newest = select(func.max(events.c.id)).where(events.c.sweep_id == sweep_id)
        with self._transactions.reading() as connection:
            event_id = connection.scalar(newest)
            if event_id is None:
                check_sweep(connection, sweep_id)
        return event_id or 0

    def newest_id(self) -> int:
        """Return the id of the newest event of all sweeps; 0 if there is none. It falls if that sweep is deleted."""
        with self._transactions.reading() as connection:
            return connection.scalar(select(func.max(events.c.id))) or 0


def write_event(
    connection: Connection, sweep_id: str, kind: EventKind, payload: Json, *, now: int, trial_id: str | None = None
) -> int:
    """Add one event as part of the transaction that `connection` is in, and return its id."""
    row = {"sweep_id": sweep_id, "trial_id": trial_id, "kind": kind.value, "payload": payload, "at": now}
    key = connection.execute(insert(events).values(row)).inserted_primary_key
    assert key is not None
    return int(key[0])


def write_sweep_state(connection: Connection, sweep_id: str, state: SweepState, error: str | None, now: int) -> None:
    """Add the event of a sweep's new state."""
    write_event(connection, sweep_id, EventKind.SWEEP_STATE, {"state": state.value, "error": error}, now=now)


def events_for(
    connection: Connection, trials: Select[Any], kind: EventKind, payload: dict[str, Any], *, now: int
) -> Insert:
    """Return the statement that adds an event for each row of `trials`, which selects a sweep's id and a trial's id.

    payload: its values are columns of numbers of the selected table, texts, or None.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    pairs: list[Any] = []
    for name, value in payload.items():
        if not isinstance(value, ColumnElement):
            value = null() if value is None else literal(value, Text)
        elif is_sqlite:  # by itself, it would keep 15 digits
            value = case((value.is_(None), None), else_=func.json(func.printf("%!.17g", value)))
        pairs += [literal(name, Text), value]
    made = (func.json_object if is_sqlite else func.json_build_object)(*pairs)
    rows = trials.add_columns(literal(kind.value), made, literal(now))
    return insert(events).from_select(["sweep_id", "trial_id", "kind", "payload", "at"], rows)
