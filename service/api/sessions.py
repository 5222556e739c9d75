"""Browser sessions: a cookie that is signed, expires, and is good for as long as the token that it was given for."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from service.settings import Home, create_secret

__all__ = ["COOKIE", "SESSION_SECONDS", "SessionKey"]

COOKIE: Final = "meltpoint_session"
SESSION_SECONDS: Final = 12 * 3600

_TEXT: Final = re.compile(r"1\.([0-9A-Za-z_-]{1,64})\.([0-9]{1,16})\.([0-9a-f]{64})")


class SessionKey:
    """The key that signs sessions. A new key ends every session.

    The cookie carries the id of a token, not the token: only the ledger says whether that token is still good.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_home(cls, home: Home) -> SessionKey:
        """Return the home's key, made at the first call, in a file that only its owner can read."""
        return cls(bytes.fromhex(create_secret(home.session_key)))

    def sign(self, token_id: str, expires_at: int) -> str:
        """Return the value of a cookie for a token. expires_at: UTC milliseconds since 1970."""
        content = f"1.{token_id}.{expires_at}"
        return f"{content}.{self._signature(content)}"

    def read(self, value: str, now: int) -> str | None:
        """Return the id of the token of a cookie; None if it is not ours, was changed, or has expired."""
        match = _TEXT.fullmatch(value)
        if match is None:
            return None
        token_id, expires_at, signature = match.groups()
        content = value.rpartition(".")[0]
        if not hmac.compare_digest(signature, self._signature(content)) or int(expires_at) <= now:
            return None
        return token_id

    def _signature(self, content: str) -> str:
        return hmac.new(self._key, content.encode(), hashlib.sha256).hexdigest()
