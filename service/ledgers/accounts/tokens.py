"""Tokens in the ledger: only the digest of their texts, never the texts."""

from __future__ import annotations

import builtins

from sqlalchemy import ColumnElement, RowMapping, insert, select, update

from service.errors import TokenNotFoundError
from service.ledgers import tables
from service.ledgers.accounts.users import user_from_row
from service.ledgers.records import Role, Token, User
from service.ledgers.transactions import Transactions

__all__ = ["Tokens"]

_TOKENS = tables.tokens.c
_TOUCHED_FOR_MS = 60_000


class Tokens:
    """Reads and writes tokens. A token that was revoked or has expired stays in the list.

    Thread safety: any thread or process may call; each call that writes is one transaction.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, token: Token) -> None:
        """Add a token.

        Raises:
            IntegrityError: its user is unknown, or its id or digest is taken.
        """
        values = vars(token) | {"role": token.role.value, "user_name": token.user}
        del values["user"]
        with self._transactions.writing() as connection:
            connection.execute(insert(tables.tokens).values(values))

    def find(self, digest: str) -> tuple[Token, User] | None:
        """Return the token with this digest, and its user; None if there is none."""
        return self._find(_TOKENS.digest == digest)

    def get(self, token_id: str) -> tuple[Token, User] | None:
        """Return the token with this id, and its user; None if there is none."""
        return self._find(_TOKENS.id == token_id)

    def _find(self, matches: ColumnElement[bool]) -> tuple[Token, User] | None:
        with self._transactions.reading() as connection:
            row = connection.execute(select(tables.tokens).where(matches)).mappings().first()
            if row is None:
                return None
            user = select(tables.users).where(tables.users.c.name == row["user_name"])
            return _from_row(row), user_from_row(connection.execute(user).mappings().one())

    def list(self, user: str | None = None) -> builtins.list[Token]:
        """Return the tokens of a user, or all, newest first."""
        query = select(tables.tokens).order_by(_TOKENS.created_at.desc(), _TOKENS.id)
        if user is not None:
            query = query.where(_TOKENS.user_name == user)
        return [_from_row(row) for row in self._transactions.rows(query)]

    def revoke(self, token_id: str, user: str | None = None) -> None:
        """Revoke a token for good; a token that is revoked already stays as it is. user: whose token it must be.

        Raises:
            TokenNotFoundError: there is no such token, or it belongs to another user.
        """
        this = _TOKENS.id == token_id
        if user is not None:
            this &= _TOKENS.user_name == user
        with self._transactions.writing() as connection:
            if connection.scalar(select(_TOKENS.id).where(this)) is None:
                raise TokenNotFoundError(f"no token {token_id}; to see the ids of tokens: meltpoint token ls")
            revoked = update(tables.tokens).where(this, _TOKENS.revoked_at.is_(None))
            connection.execute(revoked.values(revoked_at=self._transactions.now()))

    def touch(self, token_id: str) -> None:
        """Note that the token was used now; at most once a minute, so that readers seldom have to write."""
        now = self._transactions.now()
        stale = (_TOKENS.id == token_id) & (
            _TOKENS.last_used_at.is_(None) | (_TOKENS.last_used_at <= now - _TOUCHED_FOR_MS)
        )
        with self._transactions.reading() as connection:
            if connection.scalar(select(_TOKENS.id).where(stale)) is None:
                return
        with self._transactions.writing() as connection:
            connection.execute(update(tables.tokens).where(stale).values(last_used_at=now))


def _from_row(row: RowMapping) -> Token:
    values = {name: row[name] for name in Token.__dataclass_fields__ if name != "user"}
    return Token(**values | {"role": Role(row["role"]), "user": row["user_name"]})
