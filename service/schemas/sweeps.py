"""Sweeps as a service sends them: whole, as a line of a list, and with the numbers of their trials."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from pydantic import Field

from search_spaces import Goal
from service.ledgers import CHECKPOINT_STORES, Sweep, SweepState, TrialCounts, TrialPhase
from service.schemas.base import Answer, JsonObject, Milliseconds, Number, finite

__all__ = ["SummaryModel", "SweepModel", "TrialCountsModel"]

MLFLOW_PATH = "/mlflow"
"""Path of a service under which MLflow answers."""


class SweepModel(Answer):
    """A sweep."""

    id: str
    """Id, such as `s-7f3a9c`."""
    name: str
    state: SweepState
    owner: str | None = None
    """User who submitted it; null if `meltpoint run` made it."""
    metric: str
    """Name of the metric, such as `val/accuracy`."""
    goal: Goal
    seed: int
    created_at: Milliseconds
    queued_at: Milliseconds | None = None
    started_at: Milliseconds | None = None
    finished_at: Milliseconds | None = None
    priority: int = 0
    """A sweep with a higher priority goes first."""
    slot_cap: int | None = None
    """Most trials at once; null for no limit."""
    waiting_for: str | None = None
    """Reason for which the sweep waits."""
    restarts: int = 0
    """Number of times its driver was replaced."""
    phase: TrialPhase = TrialPhase.SEARCH
    """The present or last task of its driver: the search, or the confirmation, which retrains the best recipes."""
    best_trial_id: str | None = None
    error: str | None = None
    """Reason of its end, if it did not complete."""
    file: str = ""
    """Name of the sweep file."""
    data: JsonObject = Field(default_factory=dict)
    """Name, digest, classes and splits of the images."""
    settings: JsonObject = Field(default_factory=dict)
    """Settings of the sweep file, flat, such as `budget.trials`."""
    model_costs: JsonObject | None = None
    """Sizes and latencies of its models, and the machine that measured them; null if no metric needs them."""
    warm_start: JsonObject | None = None
    """Earlier sweeps from which it started, and the recipes that it took from them."""
    mlflow: JsonObject | None = None
    """Ids of the sweep's MLflow experiment and run."""
    registered: JsonObject | None = None
    """The registered model."""
    spec: str | None = None
    """Text of the sweep file; only if asked for."""

    @classmethod
    def from_record(cls, sweep: Sweep, *, with_spec: bool = False) -> SweepModel:
        """Return the model of a sweep, without paths and addresses of the service's machine."""
        values = {name: getattr(sweep, name) for name in _SAME if hasattr(sweep, name)}
        return cls(
            **values,
            file=PurePath(sweep.spec_file).name,
            data={name: value for name, value in sweep.data.items() if name not in _PLACES},
            warm_start=sweep.warm_start and _without_recipes(sweep.warm_start),
            mlflow=None if sweep.mlflow is None else _without(sweep.mlflow, "tracking_uri"),
            spec=sweep.spec_text if with_spec else None,
        )

    def to_record(self, service: str = "") -> Sweep:
        """Return the ledger's record as a client knows it; service: URL of the service, for MLflow's address."""
        values = {name: getattr(self, name) for name in _SAME if name in Sweep.__dataclass_fields__}
        mlflow = self.mlflow and {"tracking_uri": service.rstrip("/") + MLFLOW_PATH} | self.mlflow
        values |= {"spec_text": self.spec or "", "spec_file": self.file, "data": self.data, "mlflow": mlflow}
        values["warm_start"] = self.warm_start
        return Sweep(**values)


_PLACES = frozenset({CHECKPOINT_STORES, "stores", "weights"})
"""Keys of a sweep's data that are about the service's own disk and stores."""

_SAME = frozenset(SweepModel.model_fields) - {"file", "data", "mlflow", "spec", "warm_start"}
"""Fields that are named and written as in the record."""


class TrialCountsModel(Answer):
    """Numbers of a sweep's trials by state, and the extremes of the best values of those that did not fail."""

    states: dict[str, int] = Field(default_factory=dict)
    highest: Number = None
    lowest: Number = None

    @classmethod
    def from_record(cls, counts: TrialCounts) -> TrialCountsModel:
        """Return the model of the counts."""
        return cls(states=dict(counts.states), highest=counts.highest, lowest=counts.lowest)

    def to_record(self) -> TrialCounts:
        """Return the counts."""
        return TrialCounts(states=self.states, highest=self.highest, lowest=self.lowest)


class SummaryModel(Answer):
    """A sweep as a line of a list. The first eight fields are those of `meltpoint ls -o json`."""

    sweep_id: str
    name: str
    state: SweepState
    trials: int
    """Number of trials so far."""
    metric: str
    best_value: Number = None
    started: str | None = None
    """Time of the start, in ISO 8601, UTC."""
    seconds: float | None = None
    """Wall time from start to end; null until the sweep has ended."""
    goal: Goal
    owner: str | None = None
    priority: int = 0
    slot_cap: int | None = None
    waiting_for: str | None = None
    error: str | None = None
    created_at: Milliseconds
    queued_at: Milliseconds | None = None
    started_at: Milliseconds | None = None
    finished_at: Milliseconds | None = None
    counts: TrialCountsModel

    @classmethod
    def from_records(cls, sweep: Sweep, counts: TrialCounts) -> SummaryModel:
        """Return the line of a sweep and the numbers of its trials."""
        values: dict[str, Any] = {name: getattr(sweep, name) for name in _IN_LISTS if hasattr(sweep, name)}
        return cls(
            **values,
            sweep_id=sweep.id,
            trials=counts.total,
            best_value=counts.best_value(sweep.goal),
            started=None if sweep.started_at is None else _as_iso(sweep.started_at),
            seconds=sweep.seconds,
            counts=TrialCountsModel.from_record(counts),
        )

    def to_records(self) -> tuple[Sweep, TrialCounts]:
        """Return the records as a client knows them; the sweep lacks what no list shows, such as data and settings."""
        values = {name: getattr(self, name) for name in _IN_LISTS if name in Sweep.__dataclass_fields__}
        missing: dict[str, Any] = {"spec_text": "", "spec_file": "", "seed": 0, "data": {}, "settings": {}}
        return Sweep(**values | missing | {"id": self.sweep_id}), self.counts.to_record()


_IN_LISTS = frozenset(SummaryModel.model_fields) & frozenset(SweepModel.model_fields)


def _without_recipes(warm_start: dict[str, Any]) -> Any:
    """Return a warm start without the recipes and values of the earlier sweeps, of which there can be thousands."""
    sources = [{name: source[name] for name in ("sweep_id", "name")} for source in warm_start["sources"]]
    return _without({**warm_start, "sources": sources}, "prior")


def _without(values: dict[str, Any], name: str) -> Any:
    return finite({key: value for key, value in values.items() if key != name})


def _as_iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).isoformat(timespec="seconds")
