"""The ledger: sweeps, trials, epochs and the outbox, in SQLite or PostgreSQL."""

from service.ledgers.backups import Contents
from service.ledgers.causes import Cause
from service.ledgers.databases import Schema, schema_at, schema_of, without_password
from service.ledgers.ledger import Ledger
from service.ledgers.records import (
    Ending,
    EpochRow,
    Happening,
    Json,
    Lease,
    Message,
    Past,
    Standing,
    Sweep,
    Trial,
    Wish,
)
from service.ledgers.states import SweepState, TrialState

__all__ = [
    "Cause",
    "Contents",
    "Ending",
    "EpochRow",
    "Happening",
    "Json",
    "Lease",
    "Ledger",
    "Message",
    "Past",
    "Schema",
    "Standing",
    "Sweep",
    "SweepState",
    "Trial",
    "TrialState",
    "Wish",
    "schema_at",
    "schema_of",
    "without_password",
]
