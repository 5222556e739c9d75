"""Trials of a sweep as a report lists them."""

from __future__ import annotations

from typing import Any

from service.ledgers import Trial
from service.reports import recipe_cell
from service.sweep_reports.facts.base import Part, decimals, finite
from service.sweep_reports.facts.rows import SweepRows

__all__ = ["TrialFacts", "list_trials", "written_depth"]


class TrialFacts(Part):
    """A trial of the search."""

    trial_id: str
    number: int
    state: str
    rank: int | None = None
    """Place among the ranked trials, from 1; null for one that failed or breaks a limit."""
    value: float | None = None
    """The sweep's metric at the best epoch."""
    best_epoch: int | None = None
    epochs: int
    """Number of finished epochs."""
    seconds: float
    """Time in finished epochs."""
    point: dict[str, Any]
    """Drawn values by key, such as `optimizer[adamw].lr`; a key without a value here was not drawn for this trial."""
    breaks: str | None = None
    """Limits that it breaks, in words."""
    error: str | None = None


def list_trials(rows: SweepRows) -> list[TrialFacts]:
    """Return the search's trials by number."""
    return [_facts(rows, trial) for trial in rows.trials]


def _facts(rows: SweepRows, trial: Trial) -> TrialFacts:
    return TrialFacts(
        trial_id=trial.id,
        number=trial.number,
        state=trial.state.value,
        rank=rows.ranks.get(trial.id),
        value=finite(trial.best_value),
        best_epoch=trial.best_epoch,
        epochs=trial.epochs,
        seconds=decimals(rows.board.seconds(trial), 3),
        point=trial.point or {name: trial.recipe[name] for name in rows.sweep.drawn if name in trial.recipe},
        breaks=trial.breaks,
        error=trial.error,
    )


def written_depth(rows: SweepRows, trial: Trial) -> str:
    """Return the freeze depth of a trial as a sweep file has it, such as `-1`; empty if it is not known."""
    own_stages = rows.sweep.own_stages(trial.recipe.get("backbone"))
    return recipe_cell(trial.recipe, "freeze_depth", own_stages=own_stages)
