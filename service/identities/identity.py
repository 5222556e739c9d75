"""The user behind a request, and which sweeps this user sees and changes."""

from __future__ import annotations

from dataclasses import dataclass

from service.errors import ForbiddenError, SweepNotFoundError
from service.ledgers import Role, Sweep, Token, User

__all__ = ["Identity", "check_may_change", "visible_owner"]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A signed-in user.

    role: the lower of the user's and the token's. user_role: the user's. own_code: True if sweep files of the user may
    name functions of the user's own.
    """

    user: str
    role: Role
    token_id: str
    user_role: Role
    own_code: bool = False

    @classmethod
    def from_token(cls, token: Token, user: User) -> Identity:
        """Return the identity that a token gives to its user."""
        return cls(
            user=user.name,
            role=user.role.capped(token.role),
            token_id=token.id,
            user_role=user.role,
            own_code=user.own_code,
        )


def visible_owner(identity: Identity) -> str | None:
    """Return the user whose sweeps alone are visible; None if all sweeps are.

    Viewers and admins see all sweeps, submitters their own. A submitter's token with the role of a viewer shows no more
    than the submitter sees.
    """
    return identity.user if Role.SUBMITTER in (identity.role, identity.user_role) else None


def check_may_change(identity: Identity, sweep: Sweep) -> None:
    """Let a submitter change own sweeps, and an admin all.

    Raises:
        SweepNotFoundError: the sweep is not visible; the error is that of a sweep which does not exist.
        ForbiddenError: the role allows no changes.
    """
    owner = visible_owner(identity)
    if owner is not None and sweep.owner != owner:
        raise SweepNotFoundError(f"no sweep {sweep.id}")
    if not identity.role.includes(Role.SUBMITTER):
        raise ForbiddenError(f"{identity.user} is signed in as {identity.role}, which changes nothing")
