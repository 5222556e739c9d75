"""The examples about ledgers, with real ledgers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import UsageError
from service.ledgers import Ledger, SweepState
from service.settings import Home
from service.sweeps import list_sweeps, open_ledger, prepare_resume
from tests.contracts.ledgers import Ticks
from tests.service.sweeps.sweeps import add_sweep, add_trials

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_variable_puts_the_ledger_into_postgresql(
    new_postgresql: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (EXAMPLES / "postgresql.yaml").read_text()
    assert "export MELTPOINT_LEDGER=postgresql+psycopg://" in text
    monkeypatch.setenv("MELTPOINT_LEDGER", new_postgresql())
    home = Home(tmp_path / "home").create()
    with open_ledger(home) as ledger:
        sweep = add_sweep(ledger, SweepState.RUNNING, text=text)
    with open_ledger(home) as ledger:
        assert [summary.sweep.id for summary in list_sweeps(ledger)] == [sweep.id]
    assert not home.ledger.exists()


def test_a_finished_sweep_is_resumed_with_more_trials(url: str) -> None:
    ledger = Ledger(url, clock=Ticks())
    sweep = add_sweep(ledger, SweepState.COMPLETED, text=(EXAMPLES / "more_budget.yaml").read_text())
    add_trials(ledger, sweep, 0.5, 0.75)
    with pytest.raises(UsageError, match="has run all of its trials"):
        prepare_resume(ledger, sweep.id)
    resumed, spec = prepare_resume(ledger, sweep.id, ["budget.trials=8"])
    assert (resumed.id, spec.budget.trials) == (sweep.id, 8)
    ledger.close()
