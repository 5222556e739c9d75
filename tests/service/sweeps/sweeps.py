"""Sweeps in a given state, for tests."""

from __future__ import annotations

from search_spaces import parse_spec
from service.ledgers import Ending, Json, Ledger, Sweep, SweepState, TrialState
from tests.contracts.ledgers import record, row

SPEC = """\
name: cells
data: {source: digits, image_size: 16}
space: {batch_size: {values: [8, 16]}}
search: {algorithm: random}
budget: {trials: 2, epochs: 3}
"""
DATA = {"name": "digits", "images": 10, "image_size": 16, "digest": "d" * 32}

_WAYS = {
    SweepState.VALIDATING: [],
    SweepState.RUNNING: [SweepState.RUNNING],
    SweepState.PAUSED: [SweepState.RUNNING, SweepState.PAUSING, SweepState.PAUSED],
    SweepState.INTERRUPTED: [SweepState.RUNNING, SweepState.INTERRUPTED],
    SweepState.COMPLETED: [SweepState.RUNNING, SweepState.COMPLETED],
    SweepState.FAILED: [SweepState.RUNNING, SweepState.FAILED],
}


def add_sweep(ledger: Ledger, state: SweepState, *, text: str = SPEC) -> Sweep:
    """Return a new sweep in this state."""
    from service.coordination import new_sweep  # it loads Optuna

    sweep = new_sweep(parse_spec(text, file="sweep.yaml"), ledger, data=DATA, settings={})
    if state is SweepState.CANCELLED:
        return ledger.sweeps.cancel(sweep.id)
    for step in _WAYS[state]:
        sweep = ledger.sweeps.move(sweep.id, step)
    return sweep


def add_trials(ledger: Ledger, sweep: Sweep, *values: float, recipe: Json | None = None) -> list[str]:
    """Complete a trial for each value, all with the same recipe, by default the default; return their ids."""
    ids = []
    for number, value in enumerate(values):
        trial = ledger.trials.create(
            sweep.id, number=number, point={}, recipe=recipe or {}, identity=str(number), seed=0
        )
        trial = ledger.trials.start_attempt(trial.id)
        record(ledger, trial, row(1, value))
        ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.COMPLETED))
        ids.append(trial.id)
    return ids
