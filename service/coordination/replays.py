"""Replays of a sweep's journal, which bring searcher and scheduler to the state in which the sweep ended."""

from __future__ import annotations

import json
import math

from search_spaces import Recipe, SpecError
from service.errors import ResumeError
from service.ledgers import JournalEvent, SweepHistory, Trial
from service.schedulers import Report, Reports
from service.searchers import Proposal, Searcher

__all__ = ["replay", "values_of"]


def replay(history: SweepHistory, searcher: Searcher, *, metric: str, milestones: frozenset[int]) -> Reports:
    """Repeat the questions and results that `searcher` had, in their order; return the reports that were compared.

    Raises ResumeError if the searcher proposes another recipe than it did: its version, or that of Optuna, is
    another, or the ledger was changed.
    """
    trials = {trial.id: trial for trial in history.trials}
    reports = Reports()
    for entry in history.journal:
        trial = trials[entry.trial_id]
        if entry.kind is JournalEvent.ASKED:
            _ask(searcher, trial)
        elif entry.kind is JournalEvent.REPORTED:
            assert entry.first is not None
            assert entry.last is not None
            for row in history.epochs[trial.id]:
                if entry.first <= row.epoch <= entry.last and row.epoch in milestones:
                    value = row.metrics().get(metric, math.nan)
                    reports.add(Report(number=trial.number, epoch=row.epoch, value=value))
        else:
            values = values_of(history, trial, metric)
            searcher.tell(trial.number, values=values, state=trial.state, keeps_limits=trial.breaks is None)
    return reports


def values_of(history: SweepHistory, trial: Trial, metric: str) -> list[float]:
    """Return the finite values of a trial's metric, by epoch."""
    values = (row.metrics().get(metric, math.nan) for row in history.epochs.get(trial.id, ()))
    return [value for value in values if math.isfinite(value)]


def _ask(searcher: Searcher, trial: Trial) -> None:
    proposal = searcher.propose(trial.number)
    if proposal is None or not _is_same(proposal, trial):
        raise ResumeError(
            f"{trial.id} cannot be drawn again as it was: another version of Meltpoint or of Optuna began the sweep, "
            "or its ledger was changed"
        )


def _is_same(proposal: Proposal, trial: Trial) -> bool:
    """Return whether a proposal is that with which a trial began; an older recipe may lack names at their defaults."""
    drawn = json.loads(json.dumps(dict(proposal.point)))  # in the ledger's form
    if drawn == trial.point:
        return True
    try:
        return drawn == proposal.recipe.flat() and Recipe.from_flat(trial.point) == proposal.recipe
    except SpecError:
        return False
