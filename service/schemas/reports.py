"""Leaderboards, the status of a sweep, and comparisons as a service sends them."""

from __future__ import annotations

from pydantic import Field

from service.ledgers import TrialState, Waiting
from service.reports import Comparison, Leaderboard, RetrainingResult, Standing
from service.schemas.base import Answer, JsonObject, JsonValue, Number
from service.schemas.sweeps import SweepModel, TrialCountsModel
from service.schemas.trials import EpochModel, TrialModel

__all__ = [
    "ComparisonModel",
    "ConfirmationModel",
    "ConfirmationStatusModel",
    "DifferenceModel",
    "LeaderboardModel",
    "RankedTrial",
    "RetrainingModel",
    "StandingModel",
    "StatusModel",
    "WaitingModel",
]


class RankedTrial(Answer):
    """A trial with the readings that a leaderboard shows."""

    trial: TrialModel
    last: EpochModel | None = None
    """The last finished epoch."""
    best: EpochModel | None = None
    """The best epoch."""
    seconds: float | None = None
    """Time in finished epochs; null if there are none."""


class StandingModel(Answer):
    """Findings about a leaderboard from the stored predictions on val images; they see no noise of training seeds."""

    optimism: float
    """How much better the best value is expected to be than the same model's on new images."""
    corrected: float
    """The best value less the optimism."""
    like_first: list[str]
    """Ids of the trials that are not told apart from the first with a confidence of 95 %."""
    images: int
    """Number of val images."""


class LeaderboardModel(Answer):
    """The trials of a sweep, best first."""

    sweep: SweepModel
    trials: list[RankedTrial]
    standing: StandingModel | None = None
    """How far the best score and the ranks can be trusted; null if the stored predictions do not say."""

    @classmethod
    def from_record(cls, board: Leaderboard, *, with_spec: bool = False) -> LeaderboardModel:
        """Return the model of a leaderboard."""
        last, best = board.last_epochs, board.best_epochs
        rows = [
            RankedTrial(
                trial=TrialModel.from_record(trial),
                last=EpochModel.from_record(last[trial.id]) if trial.id in last else None,
                best=EpochModel.from_record(best[trial.id]) if trial.id in best else None,
                seconds=board.epoch_seconds.get(trial.id),
            )
            for trial in board.trials
        ]
        standing = None if board.standing is None else StandingModel(**board.standing.as_json())
        sweep = SweepModel.from_record(board.sweep, with_spec=with_spec)
        return cls(sweep=sweep, trials=rows, standing=standing)

    def to_record(self, service: str = "") -> Leaderboard:
        """Return the leaderboard; service: see `SweepModel.to_record`."""
        return Leaderboard(
            self.sweep.to_record(service),
            tuple(row.trial.to_record() for row in self.trials),
            {row.trial.id: row.last.to_record() for row in self.trials if row.last is not None},
            {row.trial.id: row.best.to_record() for row in self.trials if row.best is not None},
            {row.trial.id: row.seconds for row in self.trials if row.seconds is not None},
            None if self.standing is None else Standing.from_json(self.standing.model_dump()),
        )


class ConfirmationModel(Answer):
    """The confirmation of a sweep, as `meltpoint confirm -o json` prints it."""

    sweep_id: str
    name: str
    metric: str
    rule: JsonObject
    """Settings: `top_k`, `seeds`, `gate` and `tolerance`."""
    digest: str
    """Digest of the sweep, from which the seeds follow."""
    measure: str
    """Score of an image on which the decision rests, such as `accuracy`."""
    seeds: list[int]
    """Seeds of the retrainings; the last is spare."""
    recipes: list[JsonObject]
    """The default and the finalists."""
    decision: JsonObject | None = None
    """Null until it is made."""
    test: JsonObject | None = None
    """The reading of the test images after the decision."""
    deployed: str | None = None
    """Id of the retraining whose model is to be deployed."""


class ConfirmationStatusModel(Answer):
    """A confirmation as it stands."""

    finished: int
    """Number of retrainings that have ended."""
    planned: int
    """Number of retrainings in all."""
    outcome: str | None = None
    """Outcome of the decision, such as `winner`; null until it is made."""
    sentence: str | None = None
    """The decision in a sentence."""


class RetrainingModel(Answer):
    """A retraining of a confirmation, as `meltpoint trials --phase confirm -o json` prints it."""

    trial_id: str
    state: TrialState
    contender: str
    """`default`, or the trial of the search whose recipe it trains, such as `trial 5`."""
    retrains: str | None = None
    """Id of the search's trial with this recipe; null if the search had none."""
    seed: int
    recipe: JsonObject
    """Every hyperparameter, resolved."""
    metrics: dict[str, Number]
    """Readings of the best epoch on val and confirm."""
    epochs: int
    seconds: float
    """Time in finished epochs."""
    mlflow_run_id: str | None = None
    error: str | None = None

    @classmethod
    def from_record(cls, retraining: RetrainingResult) -> RetrainingModel:
        """Return the model of a retraining."""
        return cls(**retraining.as_json())

    def to_record(self) -> RetrainingResult:
        """Return the retraining as a client knows it."""
        return RetrainingResult(**{name: getattr(self, name) for name in RetrainingModel.model_fields})


class WaitingModel(Answer):
    """Messages that MLflow has not taken, all for one reason."""

    messages: int
    subjects: list[str]
    """Things that they are about, for people."""
    error: str | None = None
    """The reason; null before the first try."""

    @classmethod
    def from_record(cls, waiting: Waiting) -> WaitingModel:
        """Return the model of the messages."""
        return cls(**waiting.as_json())

    def to_record(self) -> Waiting:
        """Return the messages as a client knows them."""
        return Waiting(messages=self.messages, subjects=tuple(self.subjects), error=self.error)


class StatusModel(Answer):
    """A sweep as it stands."""

    leaderboard: LeaderboardModel
    trial_counts: TrialCountsModel
    unsent: int
    """Number of messages that MLflow has not taken."""
    checkpoint_files: int
    checkpoint_bytes: int
    unlisted: str | None = None
    """Why a store of checkpoints could not be listed; null if all are counted."""
    confirmation: ConfirmationStatusModel | None = None
    """Null if none has begun."""
    waiting: list[WaitingModel] = Field(default_factory=list)
    """The unsent messages by their reasons."""


class DifferenceModel(Answer):
    """A difference between two sweeps; a value is null if a sweep has no such value."""

    section: str
    """Section, such as `recipe` or `cost`."""
    name: str
    first: JsonValue = None
    second: JsonValue = None


class ComparisonModel(Answer):
    """Two sweeps to compare, with the texts of their files."""

    first: LeaderboardModel
    second: LeaderboardModel
    comparable: bool
    """True if a difference between the best values says something about the recipes."""
    obstacles: list[str]
    """Reasons against that."""
    differences: list[DifferenceModel]

    @classmethod
    def from_record(cls, comparison: Comparison) -> ComparisonModel:
        """Return the model of a comparison."""
        return cls(
            first=LeaderboardModel.from_record(comparison.first, with_spec=True),
            second=LeaderboardModel.from_record(comparison.second, with_spec=True),
            comparable=not comparison.obstacles,
            obstacles=comparison.obstacles,
            differences=[DifferenceModel(**vars(difference)) for difference in comparison.differences()],
        )

    def to_record(self, service: str = "") -> Comparison:
        """Return the comparison; service: see `SweepModel.to_record`."""
        return Comparison(first=self.first.to_record(service), second=self.second.to_record(service))
