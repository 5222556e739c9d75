"""Users and the audit log, for admins."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query

from service.api.routes.parameters import After, Limit, Name, Reference
from service.api.routes.strict_routes import make_router
from service.api.state import Admin
from service.errors import UsageError
from service.ledgers import Role, User
from service.schemas import AuditEntryModel, NewUser, Page, UserChange, UserModel

__all__ = ["router"]

router = make_router("users", 409)

_REQUIRED = ("weight", "own_code", "role", "disabled")
"""Fields of a user that are never null."""


@router.post("/users", operation_id="create_user", status_code=201)
def create_user(request: NewUser, caller: Admin) -> UserModel:
    """Create a user."""
    caller.note_target(request.name)
    limits = {
        name: value
        for name, value in request.model_dump(exclude={"name", "role"}, exclude_unset=True).items()
        if value is not None
    }
    return _model(caller.ledger.users.create(request.name, Role(request.role.value), **limits))


@router.get("/users", operation_id="list_users")
def get_users(caller: Admin, limit: Limit = 100, after: After = None) -> Page[UserModel]:
    """List the users by name."""
    users = caller.ledger.users.list(limit + 1, after)
    models = [_model(user) for user in users[:limit]]
    return Page(items=models, next=models[-1].name if len(users) > limit else None)


@router.get("/users/{name}", operation_id="get_user")
def get_user(name: Reference, caller: Admin) -> UserModel:
    """Return a user."""
    return _model(caller.ledger.users.get(name))


@router.patch("/users/{name}", operation_id="change_user")
def change_user(name: Reference, change: UserChange, caller: Admin) -> UserModel:
    """Change a user's role or limits, or disable the user; null removes a limit."""
    caller.note_target(name)
    columns: dict[str, Any] = change.model_dump(exclude_unset=True)
    columns = {field: value for field, value in columns.items() if value is not None or field not in _REQUIRED}
    if name == caller.identity.user and (columns.get("disabled") or columns.get("role", Role.ADMIN) != Role.ADMIN):
        option = "--disable" if columns.get("disabled") else f"--role {columns['role'].value}"
        raise UsageError(
            "you can neither disable yourself nor lower your own role; another admin can type: "
            f"meltpoint user set {name} {option}"
        )
    if "disabled" in columns:
        columns["disabled_at"] = caller.api.settings.clock() if columns.pop("disabled") else None
    if "role" in columns:
        columns["role"] = Role(columns["role"]).value
    return _model(caller.ledger.users.change(name, **columns))


@router.get("/audit", operation_id="list_audit")
def get_audit(
    caller: Admin,
    limit: Limit = 100,
    after: Annotated[int | None, Query(ge=0, le=2**62, description="`next` of the page before.")] = None,
    user: Name = None,
    target: Name = None,
) -> Page[AuditEntryModel]:
    """List the audit log, newest first: who asked for which action on what, when, and from where."""
    entries = caller.ledger.audit.list(limit + 1, after, user=user, target=target)
    models = [AuditEntryModel(**vars(entry)) for entry in entries[:limit]]
    return Page(items=models, next=str(models[-1].id) if len(entries) > limit else None)


def _model(user: User) -> UserModel:
    return UserModel(**vars(user))
