"""Accounts in the ledger: users, tokens and the audit log."""

from service.ledgers.accounts.audit import Audit
from service.ledgers.accounts.tokens import Tokens
from service.ledgers.accounts.users import Users

__all__ = ["Audit", "Tokens", "Users"]
