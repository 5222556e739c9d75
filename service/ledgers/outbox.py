"""The outbox: what MLflow has still to be told, in order, written in the transaction of what it tells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection, Engine, func, insert, select, update

from service.ledgers.databases import read_only
from service.ledgers.records import Json, Message
from service.ledgers.states import SweepState
from service.ledgers.tables import outbox, sweeps

Clock = Callable[[], int]
Writing = Callable[[], AbstractContextManager[Connection]]

_AT_REST = {state.value for state in SweepState if not state.is_under_way}


class Outbox:
    """Messages of the ledger's database.

    Ownership: borrows the ledger's engine; `writing` begins one of its transactions. Thread safety: as the ledger. A
    message that was sent stays, marked.
    """

    def __init__(self, engine: Engine, clock: Clock, writing: Writing) -> None:
        self._engine = engine
        self._clock = clock
        self._writing = writing

    def add(
        self,
        connection: Connection,
        messages: Sequence[tuple[str, Json]],
        *,
        sweep_id: str,
        trial_id: str | None = None,
    ) -> None:
        """Put messages (kind and payload) in, as part of the transaction that `connection` is in."""
        now = self._clock()
        common = {"sweep_id": sweep_id, "trial_id": trial_id, "created_at": now, "tries": 0}
        if messages:
            rows = [common | {"kind": kind, "payload": payload} for kind, payload in messages]
            connection.execute(insert(outbox), rows)

    def tell(self, sweep_id: str, kind: str, payload: Json, *, trial_id: str | None = None) -> None:
        """Put one message in."""
        with self._writing() as connection:
            self.add(connection, [(kind, payload)], sweep_id=sweep_id, trial_id=trial_id)

    def knows(self, kind: str, *, trial_id: str) -> bool:
        """Whether such a message of the trial was ever put in."""
        query = select(outbox.c.id).where(outbox.c.trial_id == trial_id, outbox.c.kind == kind)
        with read_only(self._engine).connect() as connection:
            return connection.scalar(query.limit(1)) is not None

    def waiting(self, sweep_id: str) -> list[Message]:
        """The sweep's unsent messages, oldest first."""
        query = select(outbox).where(outbox.c.sent_at.is_(None), outbox.c.sweep_id == sweep_id).order_by(outbox.c.id)
        with read_only(self._engine).connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [Message(**{name: row[name] for name in Message.__dataclass_fields__}) for row in rows]

    def count(self, sweep_id: str) -> int:
        """How many messages of the sweep wait."""
        query = select(func.count()).where(outbox.c.sent_at.is_(None), outbox.c.sweep_id == sweep_id)
        with read_only(self._engine).connect() as connection:
            return connection.scalar(query) or 0

    def count_at_rest(self) -> int:
        """How many messages wait of sweeps that nobody drives."""
        at_rest = select(sweeps.c.id).where(sweeps.c.state.in_(_AT_REST))
        query = select(func.count()).where(outbox.c.sent_at.is_(None), outbox.c.sweep_id.in_(at_rest))
        with read_only(self._engine).connect() as connection:
            return connection.scalar(query) or 0

    def unfinished_business(self, states: Collection[str] = _AT_REST) -> list[str]:
        """Sweeps in one of `states`, by default those that nobody drives, that MLflow does not know to the end, oldest
        first.
        """
        query = (
            select(sweeps.c.id)
            .where(sweeps.c.state.in_(states))
            .where(sweeps.c.id.in_(select(outbox.c.sweep_id).where(outbox.c.sent_at.is_(None))))
            .order_by(sweeps.c.created_at)
        )
        with read_only(self._engine).connect() as connection:
            return list(connection.scalars(query))

    def sent(self, *message_ids: int) -> None:
        """MLflow has these."""
        query = update(outbox).where(outbox.c.id.in_(message_ids))
        with self._writing() as connection:
            connection.execute(query, {"sent_at": self._clock(), "error": None})

    def not_sent(self, *message_ids: int, error: str) -> None:
        """Count a failed try and keep its reason; the messages stay."""
        query = update(outbox).where(outbox.c.id.in_(message_ids)).values(tries=outbox.c.tries + 1, error=error)
        with self._writing() as connection:
            connection.execute(query)
