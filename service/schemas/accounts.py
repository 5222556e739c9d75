"""Users, tokens and the audit log as a service sends them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from service.schemas.base import Answer, JsonObject, Milliseconds, Request
from service.schemas.patterns import PRINTABLE, USER_NAME

__all__ = [
    "AuditEntryModel",
    "IdentityModel",
    "IssuedToken",
    "NewToken",
    "NewUser",
    "RoleName",
    "TokenModel",
    "UserChange",
    "UserModel",
    "UserName",
]

LONGEST_TOKEN_DAYS = 3650

UserName = Annotated[str, StringConstraints(pattern=USER_NAME, max_length=64)]


class RoleName(StrEnum):
    """Name of a role. Each may do what the roles before it may, and more."""

    VIEWER = "viewer"
    SUBMITTER = "submitter"
    ADMIN = "admin"


class UserModel(Answer):
    """A user and the user's limits; null means no limit."""

    name: str
    role: RoleName
    created_at: Milliseconds
    disabled_at: Milliseconds | None = None
    weight: float = 1.0
    """Share of the workers, relative to other users."""
    max_sweeps: int | None = None
    """Most sweeps under way at once."""
    max_slots: int | None = None
    """Most trials at once."""
    max_trials: int | None = None
    """Most trials of one sweep."""
    gpu_hours: float | None = None
    """GPU hours that all sweeps of the user may use together."""
    gpu_seconds_used: float = 0.0
    gpu_seconds_reserved: float = 0.0
    """GPU seconds of trials that run now."""
    own_code: bool = False
    """True if sweep files of the user may name functions of the user's own."""


_Limit = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]


class _UserLimits(Request):
    weight: float | None = Field(default=None, gt=0, le=1000)
    """Share of the workers, relative to other users."""
    max_sweeps: _Limit | None = None
    max_slots: _Limit | None = None
    max_trials: _Limit | None = None
    gpu_hours: float | None = Field(default=None, ge=0, le=1_000_000)
    own_code: bool | None = None


class NewUser(_UserLimits):
    """A user to create."""

    name: UserName
    role: RoleName = Field(default=RoleName.SUBMITTER, strict=False)


class UserChange(_UserLimits):
    """Changes of a user: only the fields that are sent. Null removes a limit."""

    role: RoleName | None = Field(default=None, strict=False)
    disabled: bool | None = None
    """True takes every right from the user; false gives them back."""


class TokenModel(Answer):
    """A token, without its text."""

    id: str
    user: str
    label: str
    role: RoleName
    """Highest role that the token gives."""
    created_at: Milliseconds
    expires_at: Milliseconds
    revoked_at: Milliseconds | None = None
    last_used_at: Milliseconds | None = None


class NewToken(Request):
    """A token to issue."""

    label: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=PRINTABLE)] = "token"
    """Purpose of the token, for people."""
    days: int = Field(default=90, ge=1, le=LONGEST_TOKEN_DAYS)
    """Days until it expires."""
    role: RoleName | None = Field(default=None, strict=False)
    """Highest role that it gives; by default the user's."""
    user: UserName | None = None
    """Another user to issue it for; admins only."""


class IssuedToken(Answer):
    """A new token. Its text is shown only once."""

    token: str
    id: str
    user: str


class IdentityModel(Answer):
    """The signed-in user."""

    user: str
    role: RoleName
    """Role of this token."""
    token_id: str
    own_code: bool


class AuditEntryModel(Answer):
    """A request to the service."""

    id: int
    at: Milliseconds
    user: str | None = None
    token_id: str | None = None
    address: str
    action: str
    """Method and route, such as `POST /api/v1/sweeps`."""
    target: str | None = None
    status: int
    detail: JsonObject | None = None
