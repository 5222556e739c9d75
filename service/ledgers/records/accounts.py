"""Users, their roles, their tokens and the audit log, as frozen records. Times are UTC milliseconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.ledgers.records.json_data import Json

__all__ = ["AuditEntry", "Role", "Token", "User"]


class Role(StrEnum):
    """The role of a user. Each role may do what the roles before it may, and more.

    VIEWER: read every sweep. SUBMITTER: submit sweeps, and read and change their own. ADMIN: everything.
    """

    VIEWER = "viewer"
    SUBMITTER = "submitter"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Return whether this role may do all that `other` may."""
        return _RANKS[self] >= _RANKS[other]

    def capped(self, cap: Role) -> Role:
        """Return the lower of this role and `cap`."""
        return cap if self.includes(cap) else self


_RANKS = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, kw_only=True)
class User:
    """A person, or a program, that uses the service; None means no limit.

    weight: the share of slots, relative to other users. max_sweeps: sweeps under way at once. max_slots: trials at
    once. max_trials: of one sweep. gpu_hours: in all. gpu_seconds_reserved: of trials that run now. own_code: whether
    sweep files may name functions of the user's own.
    """

    name: str
    role: Role
    created_at: int
    disabled_at: int | None = None
    weight: float = 1.0
    max_sweeps: int | None = None
    max_slots: int | None = None
    max_trials: int | None = None
    gpu_hours: float | None = None
    gpu_seconds_used: float = 0.0
    gpu_seconds_reserved: float = 0.0
    own_code: bool = False


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token of a user. digest: hexadecimal SHA-256 of its text, which is not kept. role: the highest it gives."""

    id: str
    user: str
    digest: str
    label: str
    role: Role
    created_at: int
    expires_at: int
    revoked_at: int | None = None
    last_used_at: int | None = None


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """A request to the service: who asked for which action on what, from which address, and the answer's status.

    action: method and route, such as `POST /api/v1/sweeps`. user, token_id: None if nobody was signed in.
    """

    id: int
    at: int
    user: str | None
    token_id: str | None
    address: str
    action: str
    target: str | None
    status: int
    detail: Json | None
