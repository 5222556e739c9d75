"""The report of a sweep: every number behind its pictures, computed from the ledger's rows alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from service.ledgers import Sweep
from service.reports import data_notes
from service.sweep_reports.facts.base import Part
from service.sweep_reports.facts.contours import Contour, read_contour
from service.sweep_reports.facts.costs import Costs, read_costs
from service.sweep_reports.facts.curves import Curves, read_curves
from service.sweep_reports.facts.decisions import (
    Confirmed,
    Headline,
    Optimism,
    read_confirmed,
    read_headline,
    read_optimism,
)
from service.sweep_reports.facts.depths import Depths, read_depths
from service.sweep_reports.facts.importance import Importance, read_importance
from service.sweep_reports.facts.parameters import find_parameters
from service.sweep_reports.facts.predictions import (
    Calibration,
    Confusion,
    Mistakes,
    read_calibration,
    read_confusion,
    read_mistakes,
    read_predictions,
)
from service.sweep_reports.facts.progress import Progress, read_progress
from service.sweep_reports.facts.rows import SweepRows
from service.sweep_reports.facts.slices import Slices, read_slices
from service.sweep_reports.facts.timelines import Timeline, make_clock, read_timeline
from service.sweep_reports.facts.tradeoffs import Tradeoffs, read_tradeoffs
from service.sweep_reports.facts.trials import TrialFacts, list_trials

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["FORMAT", "SweepFacts", "SweepReport", "make_report"]

FORMAT: Final = "meltpoint-report-1"


class SweepFacts(Part):
    """The sweep."""

    sweep_id: str
    name: str
    state: str
    metric: str
    goal: str
    owner: str | None = None
    created_at: int
    """Milliseconds since 1970, as the other times."""
    started_at: int | None = None
    finished_at: int | None = None
    error: str | None = None
    data: str | None = None
    """Name of the images."""
    images: int | None = None
    splits: dict[str, int] = Field(default_factory=dict)
    """Numbers of images by split."""
    classes: int = 0
    """Number of classes."""
    data_notes: tuple[str, ...] = ()
    """Sentences on how the images were read: folders, files left out, copies."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Sections of the sweep file as the sweep has them now."""


class SweepReport(Part):
    """The report of a sweep: the contract of `meltpoint report -o json`."""

    format: Literal["meltpoint-report-1"] = FORMAT
    sweep: SweepFacts
    headline: Headline
    costs: Costs
    progress: Progress
    importance: Importance
    slices: Slices
    depths: Depths
    contour: Contour
    curves: Curves
    tradeoffs: Tradeoffs
    timeline: Timeline
    confusion: Confusion
    mistakes: Mistakes
    calibration: Calibration
    optimism: Optimism
    confirmation: Confirmed
    trials: list[TrialFacts]


def make_report(ledger: Ledger, sweep: Sweep) -> SweepReport:
    """Compute the report of a sweep, in any state, from the ledger's rows."""
    rows = SweepRows.read(ledger, sweep)
    clock = make_clock(rows)
    parameters = find_parameters(rows)
    importance = read_importance(rows, parameters)
    order = [each.key for each in importance.parameters]
    predictions = read_predictions(ledger, rows)
    return SweepReport(
        sweep=_facts(sweep),
        headline=read_headline(rows),
        costs=read_costs(rows),
        progress=read_progress(rows, clock),
        importance=importance,
        slices=read_slices(rows, parameters, order),
        depths=read_depths(rows),
        contour=read_contour(rows, parameters, order),
        curves=read_curves(rows),
        tradeoffs=read_tradeoffs(rows),
        timeline=read_timeline(rows, clock),
        confusion=read_confusion(rows, predictions),
        mistakes=read_mistakes(rows, predictions),
        calibration=read_calibration(rows, predictions),
        optimism=read_optimism(rows),
        confirmation=read_confirmed(rows),
        trials=list_trials(rows),
    )


def _facts(sweep: Sweep) -> SweepFacts:
    counts = sweep.data.get("classes") or {}
    splits = ("train", "val", "confirm", "test")
    return SweepFacts(
        sweep_id=sweep.id,
        name=sweep.name,
        state=sweep.state.value,
        metric=sweep.metric,
        goal=sweep.goal.value,
        owner=sweep.owner,
        created_at=sweep.created_at,
        started_at=sweep.started_at,
        finished_at=sweep.finished_at,
        error=sweep.error,
        data=sweep.data.get("name"),
        images=sweep.data.get("images"),
        splits={split: sweep.count_images(split) for split in splits if counts},
        classes=len(counts),
        data_notes=tuple(data_notes(sweep.data)),
        settings={name: value for name, value in sweep.present_settings.items() if not name.startswith("space.own")},
    )
