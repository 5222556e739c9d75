"""Earlier sweeps of a new sweep, read once: their recipes, and what these reached in the new sweep's metric."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from search_spaces import Problem, SpecError, SweepSpec
from service.errors import SweepNotFoundError
from service.ledgers import EpochRow, Json, Sweep, Trial, TrialState

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["read_earlier"]

MOST_TRIALS: Final = 1000
"""Most trials of one earlier sweep that a new sweep takes over; of more, they are taken evenly over the ranks."""

_COUNTED: Final = (TrialState.COMPLETED, TrialState.PRUNED)


def read_earlier(ledger: Ledger, spec: SweepSpec, *, visible_to: str | None = None) -> Json | None:
    """Return the earlier sweeps that `search.from` names with their trials, best first; None if it names none.

    Trials that have finished count, also while their sweep runs. Values are those of the new sweep's metric at the
    epoch at which it was best, whichever metric the earlier sweep optimised.

    visible_to: the user whose sweeps alone may be named; None for all.

    Raises:
        SpecError: a sweep does not exist, may not be seen, or has no value of the metric.
    """
    sources: dict[str, Json] = {}
    problems = []
    for number, reference in enumerate(spec.search.earlier):
        try:
            sweep = ledger.sweeps.find(reference, owner=visible_to)
            if sweep.id not in sources:
                sources[sweep.id] = _source(ledger, sweep, spec)
        except (SweepNotFoundError, ValueError) as error:
            path = f"search.from[{number}]"
            problems.append(Problem(path=path, rule=str(error), value=reference, file=spec.file))
    if problems:
        raise SpecError(problems)
    return {"sources": list(sources.values())} if sources else None


def _source(ledger: Ledger, sweep: Sweep, spec: SweepSpec) -> Json:
    """Return what is kept of an earlier sweep. Raises ValueError if no trial has a value."""
    rows = ledger.trials.epochs_of_sweep(sweep.id)
    finished = [trial for trial in ledger.trials.list(sweep.id) if trial.state in _COUNTED]
    read = [_past(trial, rows.get(trial.id, []), spec) for trial in finished]
    trials = [past for past in read if past is not None]
    if not trials:
        why = (
            f"has {len(finished)} finished trials, none with a value of {spec.metric.name}"
            if finished
            else (f"is {sweep.state} and has no finished trial yet")
        )
        raise ValueError(f"{sweep.id} {why}; name a sweep with results: meltpoint ls")
    trials.sort(key=lambda past: (not past["keeps_limits"], spec.metric.goal.sort_key(past["value"]), past["number"]))
    step = max(1, math.ceil(len(trials) / MOST_TRIALS))
    return {
        "sweep_id": sweep.id,
        "name": sweep.name,
        "digest": sweep.data.get("digest"),
        "planned_epochs": sweep.settings.get("budget.epochs"),
        "trials": trials[::step],
    }


def _past(trial: Trial, rows: list[EpochRow], spec: SweepSpec) -> Json | None:
    """Return a trial's recipe and values of the new sweep's metric; None if it has none."""
    curve = [row.metrics().get(spec.metric.name, math.nan) for row in rows]
    finite = [value for value in curve if math.isfinite(value)]
    if not finite:
        return None
    return {
        "trial_id": trial.id,
        "number": trial.number,
        "recipe": trial.recipe,
        "value": spec.metric.goal.best(finite),
        "last": finite[-1],
        "epochs": len(rows),
        "state": trial.state.value,
        "keeps_limits": trial.breaks is None or not _has_limits(spec),
    }


def _has_limits(spec: SweepSpec) -> bool:
    """Return whether the new sweep has limits; the earlier ones' limits do not count if it has none."""
    return any(metric.limit is not None for metric in spec.metrics)
