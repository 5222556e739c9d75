"""The ledger: sweeps, trials, epochs and the outbox, in SQLite or PostgreSQL."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from service.ledgers.records import (
    CHECKPOINT_STORES,
    FIRST_RETRAINING,
    LOG_SCALED,
    OWN_STAGES,
    REGISTRATION,
    REVISABLE_SECTIONS,
    AuditEntry,
    Cause,
    Ending,
    EpochRow,
    Event,
    EventKind,
    JournalEvent,
    Json,
    Lease,
    Message,
    MessageKind,
    PackedPredictions,
    Promotion,
    PromotionAction,
    Revision,
    Role,
    ServiceProcess,
    Sweep,
    SweepAction,
    SweepHistory,
    SweepState,
    Token,
    Trial,
    TrialCounts,
    TrialPhase,
    TrialState,
    User,
    Waiting,
    way_to_more_trials,
)

if TYPE_CHECKING:
    from service.ledgers.backups import Contents
    from service.ledgers.databases import Schema, schema_at, schema_of, without_password
    from service.ledgers.ledger import Ledger

__all__ = [
    "CHECKPOINT_STORES",
    "FIRST_RETRAINING",
    "LOG_SCALED",
    "OWN_STAGES",
    "REGISTRATION",
    "REVISABLE_SECTIONS",
    "AuditEntry",
    "Cause",
    "Contents",
    "Ending",
    "EpochRow",
    "Event",
    "EventKind",
    "JournalEvent",
    "Json",
    "Lease",
    "Ledger",
    "Message",
    "MessageKind",
    "PackedPredictions",
    "Promotion",
    "PromotionAction",
    "Revision",
    "Role",
    "Schema",
    "ServiceProcess",
    "Sweep",
    "SweepAction",
    "SweepHistory",
    "SweepState",
    "Token",
    "Trial",
    "TrialCounts",
    "TrialPhase",
    "TrialState",
    "User",
    "Waiting",
    "schema_at",
    "schema_of",
    "way_to_more_trials",
    "without_password",
]

_DATABASE_NAMES: Final = {
    "Contents": "backups",
    "Ledger": "ledger",
    "Schema": "databases",
    "schema_at": "databases",
    "schema_of": "databases",
    "without_password": "databases",
}
"""The names that need SQLAlchemy, with their modules: loaded when first used, for clients have no database."""


def __getattr__(name: str) -> Any:
    """Load a name that needs SQLAlchemy."""
    if name not in _DATABASE_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_DATABASE_NAMES[name]}"), name)
