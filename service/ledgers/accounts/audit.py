"""The audit log: who asked for what, when and from which address. Entries are only added."""

from __future__ import annotations

import builtins

from sqlalchemy import RowMapping, insert, select

from service.ledgers import tables
from service.ledgers.records import AuditEntry, Json
from service.ledgers.transactions import Transactions

__all__ = ["Audit"]

_AUDIT = tables.audit.c
_MOST_CHARACTERS = 200


class Audit:
    """Adds entries to the audit log and reads them.

    Thread safety: any thread or process may call; each call is one transaction.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(
        self,
        *,
        user: str | None,
        token_id: str | None,
        address: str,
        action: str,
        status: int,
        target: str | None = None,
        detail: Json | None = None,
    ) -> int:
        """Add an entry with the present time, and return its id; see `AuditEntry`. Long texts are cut."""
        row: Json = {
            "at": self._transactions.now(),
            "user_name": user and user[:64],
            "token_id": token_id and token_id[:16],
            "address": address[:64],
            "action": action[:_MOST_CHARACTERS],
            "target": target and target[:_MOST_CHARACTERS],
            "status": status,
        }
        if detail is not None:
            row["detail"] = detail
        with self._transactions.writing() as connection:
            key = connection.execute(insert(tables.audit).values(row)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def list(
        self, limit: int = 100, before: int | None = None, *, user: str | None = None, target: str | None = None
    ) -> builtins.list[AuditEntry]:
        """Return entries, newest first.

        before: id of the last entry of the page before. user, target: keep only entries of these.
        """
        query = select(tables.audit).order_by(_AUDIT.id.desc()).limit(limit)
        if before is not None:
            query = query.where(_AUDIT.id < before)
        if user is not None:
            query = query.where(_AUDIT.user_name == user)
        if target is not None:
            query = query.where(_AUDIT.target == target)
        return [_from_row(row) for row in self._transactions.rows(query)]


def _from_row(row: RowMapping) -> AuditEntry:
    values = {name: row[name] for name in AuditEntry.__dataclass_fields__ if name != "user"}
    return AuditEntry(**values, user=row["user_name"])
