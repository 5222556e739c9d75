"""An example that runs to its end, and is resumed with more trials as its comment says."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import load_spec
from service.clocks import now_ms
from service.ledgers import Ledger, SweepState
from service.runs.runner import resume_sweep, run_sweep
from service.settings import Home
from service.sweeps import prepare_resume

EXAMPLE = Path(__file__).parents[2] / "examples" / "more_budget.yaml"


@pytest.mark.usefixtures("ray_once")
def test_more_trials_are_added_to_a_finished_sweep(home: Home) -> None:
    first = run_sweep(load_spec(EXAMPLE, ["resources.gpu=0"]), home=home)
    assert (first.sweep.state, len(first.board.trials)) == (SweepState.COMPLETED, 2)
    ledger = Ledger.open(home, clock=now_ms)
    sweep, spec = prepare_resume(ledger, first.sweep.id, ["budget.trials=4"])
    ledger.close()
    second = resume_sweep(sweep, spec, home=home)
    assert (second.sweep.id, second.sweep.state) == (first.sweep.id, SweepState.COMPLETED)
    before = {trial.id: (trial.attempt, trial.finished_at) for trial in first.board.trials}
    after = {trial.id: (trial.attempt, trial.finished_at) for trial in second.board.trials}
    assert len(after) == 4
    assert before.items() <= after.items()
