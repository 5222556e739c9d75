"""The journal: events of trials in the order of recording, from which a restart repeats its decisions."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from service.ledgers.records import JournalEntry, JournalEvent, Trial
from service.ledgers.tables import journal

__all__ = ["read_journal", "write_journal"]


def write_journal(
    connection: Connection, trial: Trial, event: JournalEvent, *, first: int | None = None, last: int | None = None
) -> None:
    """Add one event of a trial; first, last: the epochs reported."""
    row = {"sweep_id": trial.sweep_id, "trial_id": trial.id, "kind": event.value, "first": first, "last": last}
    connection.execute(insert(journal), row)


def read_journal(connection: Connection, sweep_id: str) -> tuple[JournalEntry, ...]:
    """Return every entry of a sweep, in the order of recording."""
    columns = select(journal.c.trial_id, journal.c.kind, journal.c.first, journal.c.last)
    rows = connection.execute(columns.where(journal.c.sweep_id == sweep_id).order_by(journal.c.id)).mappings()
    return tuple(JournalEntry(**{**row, "kind": JournalEvent(row["kind"])}) for row in rows)
