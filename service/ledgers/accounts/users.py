"""Users in the ledger, with their limits and what they have used of them."""

from __future__ import annotations

import builtins
import shlex
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.errors import ConflictError, UserNotFoundError
from service.ledgers import tables
from service.ledgers.accounts.gpu_seconds import reserve_gpu, settle_gpu
from service.ledgers.records import Role, User
from service.ledgers.transactions import Transactions

__all__ = ["Users", "user_from_row"]

_USERS = tables.users.c
_LIMITS = frozenset({"weight", "max_sweeps", "max_slots", "max_trials", "gpu_hours", "own_code"})
_CHANGEABLE = _LIMITS | {"role", "disabled_at"}


class Users:
    """Reads and writes users.

    Thread safety: any thread or process may call; each call that writes is one transaction.
    Raises (any method that takes a name, but `create`): UserNotFoundError if there is no such user.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def create(self, name: str, role: Role, **limits: Any) -> User:
        """Create a user; limits: fields of `User`, such as `max_slots`.

        Raises:
            ConflictError: there is a user of that name.
        """
        assert limits.keys() <= _LIMITS, limits
        row = {"name": name, "role": role.value, "created_at": self._transactions.now()} | limits
        try:
            with self._transactions.writing() as connection:
                connection.execute(insert(tables.users).values(row))
                return _get(connection, name)
        except IntegrityError:
            raise ConflictError(
                f"there is a user {name} already; to see all users: meltpoint user ls; to see what can be changed: "
                "meltpoint user set --help"
            ) from None

    def get(self, name: str) -> User:
        """Return the user of exactly this name."""
        with self._transactions.reading() as connection:
            return _get(connection, name)

    def list(self, limit: int | None = None, after: str | None = None) -> builtins.list[User]:
        """Return users by name. limit: most users to return. after: last name of the page before."""
        query = select(tables.users).order_by(_USERS.name).limit(limit)
        if after is not None:
            query = query.where(_USERS.name > after)
        return [user_from_row(row) for row in self._transactions.rows(query)]

    def change(self, name: str, **columns: Any) -> User:
        """Change fields of a user: `role`, `disabled_at`, and the limits."""
        assert columns.keys() <= _CHANGEABLE, columns
        with self._transactions.writing() as connection:
            if columns:
                connection.execute(update(tables.users).where(_USERS.name == name).values(**columns))
            return _get(connection, name)

    def reserve_gpu(self, name: str, seconds: float, *, sweep_id: str | None = None) -> bool:
        """Reserve GPU seconds before they are spent; return False, and reserve nothing, if too few are left.

        sweep_id: the sweep that will spend them. What is reserved for a sweep is given back once it is no longer under
        way, and when another driver takes its lease.
        """
        with self._transactions.writing() as connection:
            if reserve_gpu(connection, name, seconds, sweep_id):
                return True
            _get(connection, name)
            return False

    def settle_gpu(self, name: str, reserved: float, used: float, *, sweep_id: str | None = None) -> None:
        """Give reserved GPU seconds back, and charge for those that were used in their place."""
        with self._transactions.writing() as connection:
            if not settle_gpu(connection, name, reserved, used, sweep_id):
                raise _unknown(name)


def user_from_row(row: RowMapping) -> User:
    """Make the record from a row of the table."""
    values = {name: row[name] for name in User.__dataclass_fields__}
    return User(**values | {"role": Role(row["role"])})


def _get(connection: Connection, name: str) -> User:
    row = connection.execute(select(tables.users).where(_USERS.name == name)).mappings().first()
    if row is None:
        raise _unknown(name)
    return user_from_row(row)


def _unknown(name: str) -> UserNotFoundError:
    return UserNotFoundError(
        f"no user {name}; to see all users: meltpoint user ls; to add one: meltpoint user add {shlex.quote(name)}"
    )
