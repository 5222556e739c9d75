"""The end of a sweep on a console: its result first, then what a user must know of MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from service.formats import Format, plain_reason
from service.ledgers import EventKind, Ledger, MessageKind, Waiting
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


def outcome_of(ledger: Ledger, *, registered: bool) -> Outcome:
    """Return the outcome of a sweep of which MLflow has the runs alone; registered: of an earlier end."""
    sweep = mixed_sweep(ledger, trials=2)
    ledger.outbox.mark_sent(*(message.id for message in ledger.outbox.unsent(sweep.id)))
    best = ledger.trials.list(sweep.id)[0].id
    ledger.sweeps.note(sweep.id, registered={"uri": "models:/photos@candidate", "version": "1"} if registered else None)
    for kind in (MessageKind.MODEL, MessageKind.CANDIDATE, MessageKind.FILES):
        ledger.outbox.put(sweep.id, kind, {}, trial_id=None if kind is MessageKind.FILES else best)
    for message, file in zip(ledger.outbox.unsent(sweep.id), ("a", "b", "c"), strict=True):
        error = f"artifacts cannot be written to /srv/1 from where Meltpoint runs: Permission denied: {file}; share"
        ledger.outbox.note_failure(message.id, error=error)
    return Outcome(
        sweep=ledger.sweeps.get(sweep.id),
        board=Leaderboard.read(ledger, ledger.sweeps.get(sweep.id)),
        unsent=ledger.outbox.count_unsent(sweep.id),
        tracking_error=None,
        waiting=ledger.outbox.waiting(sweep.id),
    )


@pytest.mark.parametrize("registered", [False, True], ids=["never registered", "registered at an earlier end"])
def test_a_model_that_mlflow_has_not_taken_is_told_once_and_has_an_exit_code(
    ledger: Ledger, *, registered: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = outcome_of(ledger, registered=registered)
    assert OutcomeView(Format.JSON, stderr()).show_end(outcome) == 4
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if "MLflow has not taken" in line]
    assert line == (
        "MLflow has not taken 3 messages (models, the registration of the best model, files of runs): "
        "artifacts cannot be written to /srv/1 from where Meltpoint runs: Permission denied: a; share"
    )
    assert f"the model of {outcome.sweep.id}-0000 is trained, but not registered" in printed.err
    (waiting,) = json.loads(printed.out)["waiting"]
    assert (waiting["messages"], waiting["subjects"][0]) == (3, "models")


def test_files_that_wait_leave_the_exit_code_alone(ledger: Ledger) -> None:
    outcome = outcome_of(ledger, registered=True)
    files = [Waiting(messages=1, subjects=("files of runs",), error="artifacts cannot be written")]
    assert OutcomeView(Format.JSON, stderr()).show_end(replace(outcome, waiting=files)) == 0


def test_what_has_no_error_of_its_own_waits_for_the_start_of_its_sweep(ledger: Ledger) -> None:
    sweep = mixed_sweep(ledger, trials=2)
    start, *_others = unsent = ledger.outbox.unsent(sweep.id)
    (untried,) = ledger.outbox.waiting(sweep.id)
    assert (untried.error, plain_reason(untried.error)) == (None, "not tried yet")
    ledger.outbox.note_failure(start.id, error="MlflowException: Caused by: [Errno 111] Connection refused")
    (waiting,) = ledger.outbox.waiting(sweep.id)
    assert waiting.messages == len(unsent)
    assert waiting.subjects == ("the sweep's run", "trials' runs", "the report")
    assert plain_reason(waiting.error) == "[Errno 111] Connection refused"
