"""The history of aliases in the ledger: every promotion and every way back."""

from __future__ import annotations

import builtins
from dataclasses import asdict, replace

from sqlalchemy import insert, select

from service.ledgers.records import Promotion, PromotionAction
from service.ledgers.tables import promotions
from service.ledgers.transactions import Transactions

__all__ = ["Promotions"]


class Promotions:
    """Reads and writes the moves of aliases. Thread safety: any thread or process may call."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, promotion: Promotion) -> Promotion:
        """Add a move with the next id, at the present time; return it as it was written."""
        now = self._transactions.now()
        row = {name: value for name, value in asdict(promotion).items() if name != "id"}
        row |= {"action": promotion.action.value, "at": now}
        with self._transactions.writing() as connection:
            key = connection.execute(insert(promotions).values(row)).inserted_primary_key
        assert key is not None
        return replace(promotion, id=int(key[0]), at=now)

    def list(self, model: str | None = None, alias: str | None = None) -> builtins.list[Promotion]:
        """Return the moves, newest first; model, alias: whose to keep, None for all."""
        query = select(promotions).order_by(promotions.c.id.desc())
        if model is not None:
            query = query.where(promotions.c.model == model)
        if alias is not None:
            query = query.where(promotions.c.alias == alias)
        return [
            Promotion(**{**row, "action": PromotionAction(row["action"])}) for row in self._transactions.rows(query)
        ]
