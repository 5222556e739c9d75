"""The outbox: messages for MLflow, in order, written in the transaction of what they tell."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, update

from service.ledgers.records import Json, Message, MessageKind, SweepState, Waiting
from service.ledgers.tables import outbox, sweeps
from service.ledgers.transactions import Transactions, batches, check_sweep

__all__ = ["Outbox"]

_AT_REST = tuple(state.value for state in SweepState if not state.is_under_way)
_FIELDS = tuple(Message.__dataclass_fields__)


class Outbox:
    """Keeps messages until MLflow has taken them; a message that was sent stays, marked.

    Thread safety: any thread or process may call; each call is one transaction, or part of its caller's.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(
        self,
        connection: Connection,
        messages: Sequence[tuple[MessageKind, Json]],
        *,
        sweep_id: str,
        trial_id: str | None = None,
    ) -> None:
        """Add messages (kind and payload) as part of the transaction that `connection` is in."""
        now = self._transactions.now()
        common: Json = {"sweep_id": sweep_id, "trial_id": trial_id, "created_at": now, "tries": 0}
        if messages:
            rows = [common | {"kind": kind.value, "payload": payload} for kind, payload in messages]
            connection.execute(insert(outbox), rows)

    def put(self, sweep_id: str, kind: MessageKind, payload: Json, *, trial_id: str | None = None) -> None:
        """Add one message in a transaction of its own.

        Raises:
            SweepNotFoundError: there is no such sweep.
        """
        with self._transactions.writing() as connection:
            check_sweep(connection, sweep_id)
            self.add(connection, [(kind, payload)], sweep_id=sweep_id, trial_id=trial_id)

    def want_files(self, sweep_id: str) -> None:
        """Add a message for the files of a sweep's runs, unless one waits already. Raises as `put`."""
        waiting = select(outbox.c.id).where(
            outbox.c.sweep_id == sweep_id, outbox.c.kind == MessageKind.FILES.value, outbox.c.sent_at.is_(None)
        )
        with self._transactions.writing() as connection:
            check_sweep(connection, sweep_id)
            if connection.scalar(waiting.limit(1)) is None:
                self.add(connection, [(MessageKind.FILES, {})], sweep_id=sweep_id)

    def has_message(self, kind: MessageKind, *, trial_id: str) -> bool:
        """Return whether a message of this kind about the trial was ever added, sent or not."""
        query = select(outbox.c.id).where(outbox.c.trial_id == trial_id, outbox.c.kind == kind.value)
        with self._transactions.reading() as connection:
            return connection.scalar(query.limit(1)) is not None

    def unsent(self, sweep_id: str) -> list[Message]:
        """Return the sweep's unsent messages, oldest first."""
        return [message for message, _ in self._unsent_with_errors(sweep_id)]

    def waiting(self, sweep_id: str) -> list[Waiting]:
        """Return the sweep's unsent messages by the reasons for which MLflow has not taken them."""
        return Waiting.group(self._unsent_with_errors(sweep_id))

    def _unsent_with_errors(self, sweep_id: str) -> list[tuple[Message, str | None]]:
        query = select(outbox).where(outbox.c.sent_at.is_(None), outbox.c.sweep_id == sweep_id).order_by(outbox.c.id)
        return [
            (Message(**{name: row[name] for name in _FIELDS} | {"kind": MessageKind(row["kind"])}), row["error"])
            for row in self._transactions.rows(query)
        ]

    def count_unsent(self, sweep_id: str) -> int:
        """Return how many messages of the sweep are unsent."""
        return self._count(_unsent().where(outbox.c.sweep_id == sweep_id))

    def count_unsent_at_rest(self) -> int:
        """Return how many messages are unsent of sweeps that no process drives."""
        at_rest = select(sweeps.c.id).where(sweeps.c.state.in_(_AT_REST))
        return self._count(_unsent().where(outbox.c.sweep_id.in_(at_rest)))

    def sweeps_with_unsent(self, states: Collection[str] = _AT_REST) -> list[str]:
        """Return the ids of sweeps with unsent messages, oldest first.

        states: states of the sweeps to look at; by default those in which no process drives them.
        """
        query = (
            select(sweeps.c.id)
            .where(sweeps.c.state.in_(states))
            .where(sweeps.c.id.in_(select(outbox.c.sweep_id).where(outbox.c.sent_at.is_(None))))
            .order_by(sweeps.c.created_at)
        )
        with self._transactions.reading() as connection:
            return list(connection.scalars(query))

    def mark_sent(self, *message_ids: int) -> None:
        """Note that MLflow has taken these messages."""
        sent = {"sent_at": self._transactions.now(), "error": None}
        with self._transactions.writing() as connection:
            for ids in batches(message_ids):
                connection.execute(update(outbox).where(outbox.c.id.in_(ids)), sent)

    def note_failure(self, *message_ids: int, error: str) -> None:
        """Count a try that failed, and keep its reason; the messages stay unsent."""
        with self._transactions.writing() as connection:
            for ids in batches(message_ids):
                failed = update(outbox).where(outbox.c.id.in_(ids)).values(tries=outbox.c.tries + 1, error=error)
                connection.execute(failed)

    def last_error(self, sweep_id: str) -> str | None:
        """Return why MLflow has not taken the newest of the sweep's messages that it refused; None for no reason."""
        query = select(outbox.c.error).where(outbox.c.sweep_id == sweep_id, outbox.c.sent_at.is_(None))
        with self._transactions.reading() as connection:
            return connection.scalar(query.where(outbox.c.error.is_not(None)).order_by(outbox.c.id.desc()).limit(1))

    def _count(self, query: Select[Any]) -> int:
        with self._transactions.reading() as connection:
            return connection.scalar(query) or 0


def _unsent() -> Select[Any]:
    return select(func.count()).select_from(outbox).where(outbox.c.sent_at.is_(None))
