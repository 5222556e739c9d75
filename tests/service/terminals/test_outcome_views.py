"""The lines below a leaderboard: they tell what a user must know of MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.ledgers import EventKind, Ledger, SweepState
from service.reports import Leaderboard
from service.runs import Outcome
from service.terminals.outcome_views import epilogue
from tests.tracked_sweeps import Clock, mixed_sweep


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open_file(tmp_path / "ledger.db", clock=Clock())) as ledger:
        yield ledger


def test_a_notice_of_the_sender_is_told_at_the_end(ledger: Ledger) -> None:
    sweep = mixed_sweep(ledger, trials=2)
    before = ledger.events.add(sweep.id, EventKind.NOTICE, {"text": "told in an earlier run"})
    text = f"MLflow's experiment photos was deleted and stays so: the runs of {sweep.id} are in photos-2"
    ledger.events.add(sweep.id, EventKind.NOTICE, {"text": text})
    notices = ledger.events.notices(sweep.id, before)
    assert notices == [text]
    board = Leaderboard.read(ledger, sweep)
    lines = epilogue(Outcome(sweep=sweep, board=board, unsent=0, tracking_error=None, notices=notices))
    assert text in lines
    assert sweep.state is SweepState.COMPLETED
