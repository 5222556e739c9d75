"""Records of the ledger: its rows, states and kinds, without a database."""

from service.ledgers.records.accounts import AuditEntry, Role, Token, User
from service.ledgers.records.causes import Cause
from service.ledgers.records.events import Event, EventKind
from service.ledgers.records.journal import JournalEntry, JournalEvent, SweepHistory
from service.ledgers.records.json_data import Json
from service.ledgers.records.messages import REGISTRATION, Message, MessageKind, Waiting
from service.ledgers.records.more_trials import way_to_more_trials
from service.ledgers.records.promotions import Promotion, PromotionAction
from service.ledgers.records.services import ServiceProcess
from service.ledgers.records.states import SweepState, TrialPhase, TrialState
from service.ledgers.records.sweeps import (
    CHECKPOINT_STORES,
    LOG_SCALED,
    OWN_STAGES,
    REVISABLE_SECTIONS,
    Lease,
    Revision,
    Sweep,
    SweepAction,
)
from service.ledgers.records.trials import FIRST_RETRAINING, Ending, EpochRow, PackedPredictions, Trial, TrialCounts

__all__ = [
    "CHECKPOINT_STORES",
    "FIRST_RETRAINING",
    "LOG_SCALED",
    "OWN_STAGES",
    "REGISTRATION",
    "REVISABLE_SECTIONS",
    "AuditEntry",
    "Cause",
    "Ending",
    "EpochRow",
    "Event",
    "EventKind",
    "JournalEntry",
    "JournalEvent",
    "Json",
    "Lease",
    "Message",
    "MessageKind",
    "PackedPredictions",
    "Promotion",
    "PromotionAction",
    "Revision",
    "Role",
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
    "way_to_more_trials",
]
