"""Identities: who sends a request, by which token, and what that token allows."""

from service.identities.first_admin import ensure_admin
from service.identities.identity import Identity, check_may_change, role_error, visible_owner
from service.identities.tokens import authenticate, identify_token, issue_token
from service.ledgers import Role

__all__ = [
    "Identity",
    "Role",
    "authenticate",
    "check_may_change",
    "ensure_admin",
    "identify_token",
    "issue_token",
    "role_error",
    "visible_owner",
]
