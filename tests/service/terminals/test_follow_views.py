"""The view of a sweep that runs elsewhere: what is printed, in which order, and when it ends."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from service.ledgers import FIRST_RETRAINING, Ending, EventKind, Ledger, Sweep, SweepState, TrialPhase, TrialState
from service.reports import Leaderboard
from service.settings import Home
from service.sweeps import HomeSweeps, SweepProgress, change_sweep
from service.terminals.follow_views import FollowView, exit_code
from tests.contracts.ledgers import record, row
from tests.service.sweeps.sweeps import add_sweep, add_trials

REGISTERED = {"uri": "models:/cells@candidate", "version": "1", "name": "cells", "alias": "candidate"}


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home")).create()


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    from service.clocks import now_ms

    ledger = Ledger.open(home, clock=now_ms)
    yield ledger
    ledger.close()


def followed(
    home: Home, sweep: Sweep, *, since: int | None = None, shows_summary: bool = True
) -> tuple[Sweep, list[str]]:
    """Follow a sweep to its end; returns its last row and the lines, with `LEADERBOARD` for the leaderboard."""
    out = io.StringIO()

    def show_board(board: Leaderboard) -> None:
        out.write(f"LEADERBOARD of {len(board.trials)}\n")

    console = Console(file=out, width=200)
    requests = HomeSweeps(home)
    view = FollowView(requests, sweep, console, show_board=show_board, shows_summary=shows_summary, since=since)
    last = view.run()
    return last, out.getvalue().splitlines()


def test_a_finished_sweep_is_shown_from_its_first_result_to_its_model(home: Home, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5, 0.75)
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    ledger.sweeps.note(sweep.id, registered=REGISTERED)
    last, lines = followed(home, sweep)
    assert lines[0].startswith(f"sweep {sweep.id} (cells): ")
    assert lines[1].startswith("first result after ")
    assert f"val/accuracy 0.5000 ({sweep.id}-0000)" in lines[1]
    assert sorted(lines[2:]) == ["LEADERBOARD of 2", "registered models:/cells@candidate (version 1, unconfirmed)"]
    assert exit_code(last) == 0


def test_the_leaderboard_is_shown_again_if_the_budget_grew_after_the_last_trial(home: Home, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    ledger.sweeps.note(sweep.id, settings={"budget.trials": 1})
    progress = SweepProgress(ledger.sweeps.get(sweep.id))
    add_trials(ledger, sweep, 0.5)
    change_sweep(ledger, sweep.id, assign=["budget.trials=2", "budget.wall=1h"])
    for event in ledger.events.after(sweep.id, 0):
        progress.apply(event)
    assert not progress.has_trained
    assert (progress.snapshot().planned, progress.snapshot().wall) == (2, 3600)
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    ledger.sweeps.note(sweep.id, registered=REGISTERED)
    _, lines = followed(home, sweep)
    assert lines[2].startswith("changed budget.trials from 1 to 2, ")
    assert sorted(lines[-2:]) == ["LEADERBOARD of 1", "registered models:/cells@candidate (version 1, unconfirmed)"]


def test_a_confirmation_is_shown_behind_the_leaderboard_and_its_retrainings_are_no_trials(
    home: Home, ledger: Ledger
) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5)
    ledger.events.add(sweep.id, EventKind.CONFIRMING, {"finalists": 1, "seeds": 2})
    retraining = ledger.trials.create(
        sweep.id,
        number=FIRST_RETRAINING,
        point={},
        recipe={},
        identity="0",
        seed=1,
        phase=TrialPhase.CONFIRM,
        started=True,
    )
    record(ledger, retraining, row(1, 0.9))
    progress = SweepProgress(ledger.sweeps.get(sweep.id))
    for event in ledger.events.after(sweep.id, 0):
        progress.apply(event)
    snapshot = progress.snapshot()
    assert (snapshot.planned, len(snapshot.running), snapshot.best) == (4, 1, None)
    assert snapshot.noun == "retrainings"
    assert progress.lacks_recipes
    progress.add_recipes({retraining.id: {}})
    lacks_recipes: bool = progress.lacks_recipes
    assert not lacks_recipes, "the best trial of the search is not shown"
    assert progress.best is not None
    assert progress.best.best_value == 0.5
    ledger.events.add(sweep.id, EventKind.DECIDED, {"outcome": "default best", "summary": "the default stands"})
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    ledger.sweeps.note(sweep.id, registered=REGISTERED)
    _, lines = followed(home, sweep)
    confirming = "confirming: 1 finalist and the default on 2 seeds, 4 retrainings"
    assert lines[2:] == ["LEADERBOARD of 1", confirming, "the default stands"], "the model is named below the decision"
    _, lines = followed(home, sweep, shows_summary=False)
    assert lines[2:] == ["LEADERBOARD of 1", confirming], "the command prints the whole decision"
    log = [line.split(" ", 2)[2] for line in HomeSweeps(home).logs(sweep.id)]
    assert "confirming: 1 finalist and the default on 2 seeds, 4 retrainings" in log
    assert "the default stands" in log


def test_a_confirmation_that_is_followed_shows_nothing_of_the_search(home: Home, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5)
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    ledger.sweeps.note(sweep.id, registered=REGISTERED)
    time.sleep(0.002)  # the confirmation is queued in another millisecond
    queued = ledger.sweeps.queue_confirmation(sweep.id, {})
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    ledger.events.add(sweep.id, EventKind.CONFIRMING, {"finalists": 1, "seeds": 2})
    ledger.events.add(sweep.id, EventKind.DECIDED, {"outcome": "default best", "summary": "the default stands"})
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    ledger.sweeps.note(sweep.id, registered=REGISTERED)
    _, lines = followed(home, queued, since=queued.queued_at)
    assert lines == ["confirming: 1 finalist and the default on 2 seeds, 4 retrainings", "the default stands"]


def test_the_leaderboard_is_shown_before_the_model_is_registered(home: Home, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5)
    shown: list[SweepState] = []

    def show_board(board: Leaderboard) -> None:
        shown.append(ledger.sweeps.get(sweep.id).state)
        ledger.sweeps.note(sweep.id, registered=REGISTERED)

    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    FollowView(HomeSweeps(home), sweep, Console(file=io.StringIO()), show_board=show_board).run()
    assert shown == [SweepState.COMPLETED]
    assert ledger.sweeps.get(sweep.id).registered == REGISTERED


@pytest.mark.parametrize(
    ("state", "code"),
    [(SweepState.FAILED, 100), (SweepState.PAUSED, 101), (SweepState.INTERRUPTED, 101), (SweepState.CANCELLED, 103)],
)
def test_the_view_ends_with_a_sweep_that_came_to_no_good_end(
    home: Home, ledger: Ledger, state: SweepState, code: int
) -> None:
    last, _ = followed(home, add_sweep(ledger, state))
    assert exit_code(last) == code


def test_a_trial_that_is_tried_again_counts_once(home: Home, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    trial = ledger.trials.create(sweep.id, number=0, point={}, recipe={}, identity="0", seed=0)
    trial = ledger.trials.start_attempt(trial.id)
    record(ledger, trial, row(1, 0.5))
    ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.PAUSED))
    trial = ledger.trials.start_attempt(trial.id)
    record(ledger, trial, row(2, 0.75), attempt=2)
    ledger.trials.finish(trial.id, attempt=2, ending=Ending(state=TrialState.COMPLETED))
    ledger.sweeps.move(sweep.id, SweepState.FAILED, error="no more")
    _, lines = followed(home, sweep)
    assert sum("first result" in line for line in lines) == 1
    assert "LEADERBOARD of 1" in lines
