"""Tokens, and who is signed in."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from service.api.routes.parameters import Limit, Reference
from service.api.routes.strict_routes import make_router
from service.api.state import Caller, Viewer
from service.errors import ForbiddenError, UsageError
from service.identities import issue_token, role_error
from service.ledgers import Role, Token, User
from service.schemas import ActionResult, IdentityModel, IssuedToken, NewToken, Page, TokenModel

__all__ = ["router"]

router = make_router("tokens", 409)


@router.get("/whoami", operation_id="get_identity")
def get_identity(caller: Viewer) -> IdentityModel:
    """Return the signed-in user."""
    return _describe(caller)


@router.post("/login", operation_id="log_in")
def log_in(caller: Viewer) -> IdentityModel:
    """Return the signed-in user, and leave an entry in the audit log, as every request that is not a mere reading."""
    return _describe(caller)


def _describe(caller: Caller) -> IdentityModel:
    identity = caller.identity
    return IdentityModel(user=identity.user, role=identity.role, token_id=identity.token_id, own_code=identity.own_code)


@router.post("/tokens", operation_id="create_token", status_code=201)
def create_token(request: NewToken, caller: Viewer) -> IssuedToken:
    """Issue a token; its text is shown only now. It gives no more rights than its user and your token have."""
    user = request.user or caller.identity.user
    if user != caller.identity.user and not _is_admin(caller):
        raise ForbiddenError(
            f"only an admin can create a token for another user; an admin types: meltpoint token create --user {user}"
        )
    account = caller.ledger.users.get(user)
    if account.disabled_at is not None:
        raise UsageError(f"{user} is disabled; to enable {user} first: meltpoint user set {user} --enable")
    asked = caller.identity.role if request.role is None else Role(request.role.value)
    if request.role is not None:
        _check_gives(caller, account, asked)
    text = issue_token(
        caller.ledger,
        user,
        label=request.label,
        days=request.days,
        role=asked.capped(caller.identity.role),
        clock=caller.api.settings.clock,
    )
    token_id = text.split("_")[1]
    caller.note_target(token_id)
    return IssuedToken(token=text, id=token_id, user=user)


@router.get("/tokens", operation_id="list_tokens")
def get_tokens(
    caller: Viewer,
    limit: Limit = 100,
    after: Annotated[int, Query(ge=0, le=2**31, description="`next` of the page before.")] = 0,
) -> Page[TokenModel]:
    """List your tokens, or for an admin those of all users, newest first, without their texts."""
    tokens = caller.ledger.tokens.list(None if _is_admin(caller) else caller.identity.user)
    models = [_model(token) for token in tokens[after : after + limit]]
    return Page(items=models, next=str(after + limit) if len(tokens) > after + limit else None)


@router.delete("/tokens/{token_id}", operation_id="revoke_token")
def revoke_token(token_id: Reference, caller: Viewer) -> ActionResult:
    """Revoke a token of yours, or as an admin any token: whoever uses it is refused from now on."""
    caller.note_target(token_id)
    caller.ledger.tokens.revoke(token_id, None if _is_admin(caller) else caller.identity.user)
    return ActionResult(id=token_id, result="revoked")


def _check_gives(caller: Caller, account: User, role: Role) -> None:
    """Check that a token of the user may have a role that was asked for, rather than to give a lower one silently.

    Raises:
        ForbiddenError: the caller's token gives a lower role.
        UsageError: the user has a lower role.
    """
    if not caller.identity.role.includes(role):
        raise role_error(caller.identity, role)
    if not account.role.includes(role):
        raise UsageError(
            f"{account.name} has the role {account.role}, and a token gives no more. To give {account.name} the role "
            f"{role} first: meltpoint user set {account.name} --role {role}"
        )


def _is_admin(caller: Caller) -> bool:
    return caller.identity.role is Role.ADMIN


def _model(token: Token) -> TokenModel:
    return TokenModel(**{name: getattr(token, name) for name in TokenModel.model_fields})
