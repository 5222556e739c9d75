"""Users and tokens of a service, asked for over HTTP."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import quote

from service.clients.connections import Connection
from service.schemas import IdentityModel, IssuedToken, Page, TokenModel, UserModel

__all__ = ["Accounts"]


class Accounts:
    """Asks a service about the signed-in user, tokens, and (an admin only) users. The service checks every value.

    Ownership: borrows the connection.
    Raises (any method): ForbiddenError if the user's role does not allow the request, NotFoundError if there is no
    such user or token, ConflictError if there is one already.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def whoami(self) -> IdentityModel:
        """Return the user to whom the token belongs."""
        return IdentityModel.model_validate(self._connection.get("/whoami"))

    def log_in(self) -> IdentityModel:
        """Return the user to whom the token belongs; the service's audit log notes the request."""
        return IdentityModel.model_validate(self._connection.post("/login", key=secrets.token_hex(16)))

    def create_token(
        self, label: str, *, days: int = 90, role: str | None = None, user: str | None = None
    ) -> IssuedToken:
        """Issue a token, whose text is never shown again.

        days: until it expires. role: the highest that it gives; by default the user's. user: another user, for whom
        only an admin can issue it.
        """
        body = {"label": label, "days": days, "role": role, "user": user}
        return IssuedToken.model_validate(self._connection.post("/tokens", body))

    def tokens(self) -> list[TokenModel]:
        """Return the signed-in user's tokens, or everybody's for an admin, without their texts."""
        return [TokenModel.model_validate(entry) for entry in self._pages("/tokens")]

    def revoke_token(self, token_id: str) -> None:
        """Revoke a token; whoever uses it is refused from now on."""
        self._connection.delete(f"/tokens/{quote(token_id, safe='')}")

    def create_user(self, name: str, *, role: str = "submitter", **limits: Any) -> UserModel:
        """Create a user. limits: as `UserModel` has them, such as `max_sweeps`."""
        return UserModel.model_validate(self._connection.post("/users", {"name": name, "role": role, **limits}))

    def users(self) -> list[UserModel]:
        """Return all users."""
        return [UserModel.model_validate(entry) for entry in self._pages("/users")]

    def change_user(self, name: str, **changes: Any) -> UserModel:
        """Change a user's role or limits; None removes a limit. `disabled=True` takes every right."""
        return UserModel.model_validate(self._connection.patch(f"/users/{quote(name, safe='')}", changes))

    def _pages(self, path: str) -> list[Any]:
        entries: list[Any] = []
        after: str | None = None
        while True:
            page = Page[Any].model_validate(self._connection.get(path, after=after))
            entries += page.items
            after = page.next
            if after is None:
                return entries
