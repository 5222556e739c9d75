"""The user behind a request, and which sweeps this user sees and changes."""

from __future__ import annotations

from dataclasses import dataclass

from service.errors import ForbiddenError, SweepNotFoundError
from service.ledgers import Role, Sweep, Token, User

__all__ = ["Identity", "check_may_change", "role_error", "visible_owner"]


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
        ForbiddenError: the role allows no changes; see `role_error`.
    """
    owner = visible_owner(identity)
    if owner is not None and sweep.owner != owner:
        raise SweepNotFoundError(f"no sweep {sweep.id}")
    if not identity.role.includes(Role.SUBMITTER):
        raise role_error(identity, Role.SUBMITTER)


def role_error(identity: Identity, needed: Role) -> ForbiddenError:
    """Return the error for a role that is too low, with the commands by which an admin gives a higher one."""
    user = identity.user
    create = f"meltpoint token create --user {user} --role {needed}"
    if identity.user_role.includes(needed):
        return ForbiddenError(
            f"this needs the role {needed}, and this token of {user} gives only {identity.role}. Another token of "
            f"{user} may give it; an admin can create one: {create}"
        )
    return ForbiddenError(
        f"this needs the role {needed}; {user} is signed in as {identity.role}. An admin can do it, or give {user} the "
        f"role, and a token that has it: meltpoint user set {user} --role {needed} && {create}"
    )
