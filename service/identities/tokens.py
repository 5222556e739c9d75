"""Tokens: texts with 256 random bits that sign requests. The ledger keeps their SHA-256, never the texts."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from service.errors import UnauthenticatedError
from service.identities.identity import Identity
from service.ledgers import Role, Token, User

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["authenticate", "identify_token", "issue_token"]

_TEXT: Final = re.compile(r"mp_([0-9a-f]{16})_[0-9a-f]{64}", re.ASCII)
"""The form of a token: `mp_`, by which scanners for secrets find it, its id, and 256 random bits."""

_DAY_MS: Final = 24 * 3600 * 1000


def issue_token(
    ledger: Ledger, user: str, *, label: str, days: int, role: Role | None = None, clock: Callable[[], int]
) -> str:
    """Issue a token, and return its text, which cannot be read again.

    label: its purpose, for people. days: until it expires. role: the highest role that it gives; never more than the
    user has now, also if the user gets a higher role later. clock: UTC milliseconds since 1970.

    Raises:
        UserNotFoundError: there is no such user.
    """
    assert days > 0, days
    account, now = ledger.users.get(user), clock()
    token_id = secrets.token_hex(8)
    text = f"mp_{token_id}_{secrets.token_hex(32)}"
    token = Token(
        id=token_id,
        user=account.name,
        digest=_digest(text),
        label=label,
        role=account.role if role is None else account.role.capped(role),
        created_at=now,
        expires_at=now + days * _DAY_MS,
    )
    ledger.tokens.add(token)
    return text


def authenticate(ledger: Ledger, text: str, clock: Callable[[], int]) -> Identity:
    """Return the identity that a token gives, and note that the token was used.

    Raises:
        UnauthenticatedError: the text is no token of this ledger, has expired or was revoked, or its user is disabled.
    """
    match = _TEXT.fullmatch(text)
    entry = ledger.tokens.get(match[1]) if match else None
    if entry is None or not hmac.compare_digest(entry[0].digest, _digest(text)):
        raise UnauthenticatedError("this token is unknown here")
    identity = _identify(*entry, clock())
    ledger.tokens.touch(identity.token_id)
    return identity


def identify_token(ledger: Ledger, token_id: str, clock: Callable[[], int]) -> Identity:
    """Return the identity that the token with this id gives, for a browser session that began with its text.

    Raises:
        UnauthenticatedError: there is no such token, it has expired or was revoked, or its user is disabled.
    """
    entry = ledger.tokens.get(token_id)
    if entry is None:
        raise UnauthenticatedError("the token of this session is unknown here")
    return _identify(*entry, clock())


def _identify(token: Token, user: User, now: int) -> Identity:
    if token.revoked_at is not None:
        raise UnauthenticatedError("this token was revoked")
    if token.expires_at <= now:
        expired = datetime.fromtimestamp(token.expires_at / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
        raise UnauthenticatedError(f"this token expired at {expired}")
    if user.disabled_at is not None:
        raise UnauthenticatedError(
            f"the user {user.name} is disabled (an admin can type: meltpoint user set {user.name} --enable)"
        )
    return Identity.from_token(token, user)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
