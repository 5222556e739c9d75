"""Models that travel between a service and its clients, as pydantic models with the ledger's records behind them."""

from service.schemas.accounts import (
    AuditEntryModel,
    IdentityModel,
    IssuedToken,
    NewToken,
    NewUser,
    RoleName,
    TokenModel,
    UserChange,
    UserModel,
)
from service.schemas.base import Page
from service.schemas.events import EventModel, EventsModel
from service.schemas.files import BackboneModel, CautionModel, PlanModel, PlanRequest, SpaceModel, ValidSpec
from service.schemas.patterns import KEY, PATTERN_RULES, PRINTABLE, PRINTABLE_AND_NOT_EMPTY
from service.schemas.problems import PROBLEM_MEDIA_TYPE, BrokenRule, Problem
from service.schemas.promotions import AliasModel, AliasMoveModel, PromoteRequest, PromotionModel, RollbackRequest
from service.schemas.queue import NodeModel, QueueEntryModel, QueueModel
from service.schemas.reports import (
    ComparisonModel,
    ConfirmationModel,
    ConfirmationStatusModel,
    DifferenceModel,
    LeaderboardModel,
    RankedTrial,
    RetrainingModel,
    StatusModel,
    WaitingModel,
)
from service.schemas.requests import ConfirmRequest, ResumeRequest, SpecRequest, SubmitRequest, SweepChange
from service.schemas.services import ActionResult, Health, Readiness, Version
from service.schemas.sweeps import MLFLOW_PATH, SummaryModel, SweepModel, TrialCountsModel
from service.schemas.trials import CurveModel, EpochModel, TrialModel, TrialResult

__all__ = [
    "KEY",
    "MLFLOW_PATH",
    "PATTERN_RULES",
    "PRINTABLE",
    "PRINTABLE_AND_NOT_EMPTY",
    "PROBLEM_MEDIA_TYPE",
    "ActionResult",
    "AliasModel",
    "AliasMoveModel",
    "AuditEntryModel",
    "BackboneModel",
    "BrokenRule",
    "CautionModel",
    "ComparisonModel",
    "ConfirmRequest",
    "ConfirmationModel",
    "ConfirmationStatusModel",
    "CurveModel",
    "DifferenceModel",
    "EpochModel",
    "EventModel",
    "EventsModel",
    "Health",
    "IdentityModel",
    "IssuedToken",
    "LeaderboardModel",
    "NewToken",
    "NewUser",
    "NodeModel",
    "Page",
    "PlanModel",
    "PlanRequest",
    "Problem",
    "PromoteRequest",
    "PromotionModel",
    "QueueEntryModel",
    "QueueModel",
    "RankedTrial",
    "Readiness",
    "ResumeRequest",
    "RetrainingModel",
    "RoleName",
    "RollbackRequest",
    "SpaceModel",
    "SpecRequest",
    "StatusModel",
    "SubmitRequest",
    "SummaryModel",
    "SweepChange",
    "SweepModel",
    "TokenModel",
    "TrialCountsModel",
    "TrialModel",
    "TrialResult",
    "UserChange",
    "UserModel",
    "ValidSpec",
    "Version",
    "WaitingModel",
]
