"""The end of a sweep on a console: its result first, then what a user must know of MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from service.formats import Format
from service.ledgers import EventKind, Ledger
from service.reports import Leaderboard
from service.runs import Outcome
from service.terminals import own_stdout, stderr
from service.terminals.outcome_views import OutcomeView
from tests.tracked_sweeps import Clock, mixed_sweep


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open_file(tmp_path / "ledger.db", clock=Clock())) as ledger:
        yield ledger


def test_the_result_is_printed_once_and_the_notices_of_the_sender_at_the_end(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = mixed_sweep(ledger, trials=2)
    before = ledger.events.add(sweep.id, EventKind.NOTICE, {"text": "told in an earlier run"})
    text = f"MLflow's experiment photos was deleted and stays so: the runs of {sweep.id} are in photos-2"
    ledger.events.add(sweep.id, EventKind.NOTICE, {"text": text})
    notices = ledger.events.notices(sweep.id, before)
    assert notices == [text]
    board = Leaderboard.read(ledger, sweep)
    known = Outcome(sweep=sweep, board=board, unsent=5, tracking_error=None)
    view = OutcomeView(Format.TABLE, stderr())
    with own_stdout():
        view.show_result(known)
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["trial", *(trial.id for trial in board.ranked)]
    assert f"sweep {sweep.id} completed" in err
    assert text not in err

    assert view.show_end(replace(known, unsent=0, notices=notices)) in (0, 4)
    out, err = capsys.readouterr()
    assert out == ""
    assert text in err.splitlines()
    assert f"sweep {sweep.id} completed" not in err


def test_json_has_the_end_and_comes_last(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = mixed_sweep(ledger, trials=2)
    outcome = Outcome(sweep=sweep, board=Leaderboard.read(ledger, sweep), unsent=0, tracking_error=None)
    view = OutcomeView(Format.JSON, stderr())
    view.show_result(outcome)
    assert capsys.readouterr() == ("", "")
    view.show_end(outcome)
    assert json.loads(capsys.readouterr().out)["sweep_id"] == sweep.id
