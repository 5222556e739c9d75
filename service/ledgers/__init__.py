"""The ledger: sweeps, trials, epochs and the outbox, in SQLite or PostgreSQL."""

from service.ledgers.backups import Contents
from service.ledgers.causes import Cause
from service.ledgers.databases import Schema, schema_at, schema_of, without_password
from service.ledgers.ledger import Ledger
from service.ledgers.messages import Message, MessageKind
from service.ledgers.records import (
    Ending,
    EpochRow,
    JournalEvent,
    Json,
    Lease,
    Sweep,
    SweepAction,
    SweepHistory,
    Trial,
    TrialCounts,
)
from service.ledgers.states import SweepState, TrialState

__all__ = [
    "Cause",
    "Contents",
    "Ending",
    "EpochRow",
    "JournalEvent",
    "Json",
    "Lease",
    "Ledger",
    "Message",
    "MessageKind",
    "Schema",
    "Sweep",
    "SweepAction",
    "SweepHistory",
    "SweepState",
    "Trial",
    "TrialCounts",
    "TrialState",
    "schema_at",
    "schema_of",
    "without_password",
]
