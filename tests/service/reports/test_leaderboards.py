"""The order of the leaderboard, and its values of each trial."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_spaces import Goal
from service.ledgers import Ending, EpochRow, Ledger, Sweep, TrialState
from service.reports import Leaderboard


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open_file(tmp_path / "ledger.db", clock=lambda: 0)
    yield ledger
    ledger.close()


def new_sweep(ledger: Ledger, goal: Goal = Goal.MAXIMIZE) -> Sweep:
    settings = {"space.drawn": ["optimizer.name", "optimizer.lr"]}
    metric = "val/accuracy" if goal is Goal.MAXIMIZE else "val/loss"
    return ledger.sweeps.create(
        name="<b>", spec_text="", spec_file="", metric=metric, goal=goal, seed=0, data={}, settings=settings
    )


def add(ledger: Ledger, sweep: Sweep, number: int, state: TrialState, *values: float) -> str:
    recipe = {"optimizer.name": "sgd", "optimizer.lr": 0.01 * (number + 1)}
    trial = ledger.trials.create(sweep.id, number=number, point={}, recipe=recipe, identity=str(number), seed=0)
    attempt = ledger.trials.start_attempt(trial.id).attempt
    rows = [
        EpochRow(epoch=e, seconds=2.0, recorded_at=e, readings={"val": {sweep.metric.removeprefix("val/"): value}})
        for e, value in enumerate(values, start=1)
    ]
    ledger.trials.record_epochs(trial.id, attempt=attempt, rows=rows, metric=sweep.metric, goal=sweep.goal)
    ending = Ending(state=state, error="nan" if state is TrialState.FAILED else None)
    ledger.trials.finish(trial.id, attempt=attempt, ending=ending)
    return trial.id


def test_best_first_ties_by_number_failed_last(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    middling = add(ledger, sweep, 0, TrialState.COMPLETED, 0.7, 0.6)
    failed = add(ledger, sweep, 1, TrialState.FAILED, 0.99)
    first = add(ledger, sweep, 2, TrialState.PRUNED, 0.9)
    second = add(ledger, sweep, 3, TrialState.COMPLETED, 0.1, 0.9)
    board = Leaderboard.read(ledger, sweep)
    assert [trial.id for trial in board.trials] == [first, second, middling, failed]
    assert board.best is not None
    assert board.best.id == first
    assert board.counts() == {"completed": 2, "pruned": 1, "failed": 1}


def test_a_lower_loss_is_better(ledger: Ledger) -> None:
    sweep = new_sweep(ledger, goal=Goal.MINIMIZE)
    worse = add(ledger, sweep, 0, TrialState.COMPLETED, 0.7)
    better = add(ledger, sweep, 1, TrialState.COMPLETED, 0.9, 0.5, 0.6)
    board = Leaderboard.read(ledger, sweep)
    assert [trial.id for trial in board.trials] == [better, worse]
    row = board.as_json()[0]
    assert (row["metrics"]["val/loss"], row["metrics"]["best/val/loss"], row["metrics"]["best/epoch"]) == (
        0.6,
        0.5,
        2,
    )
    assert row["seconds"] == 6.0


def test_what_is_not_a_number_is_null_and_ranks_last(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    undefined = add(ledger, sweep, 0, TrialState.COMPLETED, math.nan)
    defined = add(ledger, sweep, 1, TrialState.COMPLETED, 0.1)
    board = Leaderboard.read(ledger, sweep)
    assert [trial.id for trial in board.trials] == [defined, undefined]
    assert board.as_json()[1]["metrics"]["val/accuracy"] is None


def test_a_sweep_without_trials_has_no_best(ledger: Ledger) -> None:
    board = Leaderboard.read(ledger, new_sweep(ledger))
    assert board.best is None
    assert board.as_json() == []


def test_csv_and_html_hold_every_trial_and_escape_what_users_named(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ids = {add(ledger, sweep, n, TrialState.COMPLETED, 0.5) for n in range(3)}
    board = Leaderboard.read(ledger, sweep)
    table = list(csv.DictReader(io.StringIO(board.as_csv())))
    assert {row["trial_id"] for row in table} == ids
    assert table[0]["best/val/accuracy"] == "0.5"
    page = board.as_html()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert all(trial in page for trial in ids)
