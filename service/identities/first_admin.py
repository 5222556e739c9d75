"""The first admin of a service, whose token lies in the home."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from service.errors import ConflictError, UserNotFoundError
from service.identities.tokens import issue_token
from service.ledgers import Role, User
from service.settings import Home, write_secret

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["ensure_admin"]

_NAME: Final = "admin"
_DAYS: Final = 365


def ensure_admin(ledger: Ledger, home: Home, clock: Callable[[], int]) -> str | None:
    """Issue a token of the user `admin` if no admin has a token that works, such as at the first start.

    The token is written to `home.admin_token`, which only the owner of the home can read. The user is created if there
    is none. A user `admin` who is disabled, or has another role, stays so and gets no token.

    Returns:
        The token's text; None if an admin has one already.
    """
    now = clock()
    admins = {user.name for user in ledger.users.list() if user.role is Role.ADMIN and user.disabled_at is None}
    if any(
        token.user in admins and token.role is Role.ADMIN and token.revoked_at is None and token.expires_at > now
        for token in ledger.tokens.list()
    ):
        return None
    user = _get_or_create(ledger)
    if user.role is not Role.ADMIN or user.disabled_at is not None:
        return None
    text = issue_token(ledger, user.name, label="first admin token", days=_DAYS, clock=clock)
    write_secret(home.admin_token, text)
    return text


def _get_or_create(ledger: Ledger) -> User:
    try:
        return ledger.users.get(_NAME)
    except UserNotFoundError:
        pass
    try:
        return ledger.users.create(_NAME, Role.ADMIN)
    except ConflictError:  # another process was faster
        return ledger.users.get(_NAME)
