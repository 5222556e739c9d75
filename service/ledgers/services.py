"""Processes of the service in the ledger: each says every few seconds that it lives, and how it is."""

from __future__ import annotations

import builtins

from sqlalchemy import delete, insert, select, update

from service.ledgers import tables
from service.ledgers.records import ServiceProcess
from service.ledgers.transactions import Transactions

__all__ = ["Services"]

_SERVICES = tables.services.c
_FORGOTTEN_AFTER_MS = 24 * 3600 * 1000


class Services:
    """Keeps one row for each process of the service.

    Thread safety: any thread or process may call; each call that writes is one transaction.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def beat(self, process: ServiceProcess) -> None:
        """Note that the process lives now, and its status.

        The first beat of a process removes the rows of processes that were not seen for a day.
        """
        now = self._transactions.now()
        values = vars(process) | {"seen_at": now}
        with self._transactions.writing() as connection:
            if connection.execute(update(tables.services).where(_SERVICES.id == process.id).values(values)).rowcount:
                return
            connection.execute(delete(tables.services).where(_SERVICES.seen_at < now - _FORGOTTEN_AFTER_MS))
            connection.execute(insert(tables.services).values(values))

    def list(self, role: str | None = None, seen_within_ms: int = 15_000) -> builtins.list[ServiceProcess]:
        """Return the processes that were seen lately, oldest first. role: `api` or `drivers`; by default both."""
        query = select(tables.services).where(_SERVICES.seen_at >= self._transactions.now() - seen_within_ms)
        if role is not None:
            query = query.where(_SERVICES.role == role)
        rows = self._transactions.rows(query.order_by(_SERVICES.started_at, _SERVICES.id))
        return [ServiceProcess(**row) for row in rows]

    def leave(self, process_id: str) -> None:
        """Remove the row of a process that ends; do nothing if there is none."""
        with self._transactions.writing() as connection:
            connection.execute(delete(tables.services).where(_SERVICES.id == process_id))
