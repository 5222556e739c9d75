"""The order of the leaderboard, and its values of each trial."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from search_spaces import Goal
from service.errors import UsageError
from service.ledgers import Ending, EpochRow, Ledger, Sweep, TrialState
from service.objectives import Limits
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


def add(ledger: Ledger, sweep: Sweep, number: int, state: TrialState, *values: float, node: str | None = None) -> str:
    recipe = {"optimizer.name": "sgd", "optimizer.lr": 0.01 * (number + 1)}
    trial = ledger.trials.create(sweep.id, number=number, point={}, recipe=recipe, identity=str(number), seed=0)
    attempt = ledger.trials.start_attempt(trial.id, node=node).attempt
    rows = [
        EpochRow(epoch=e, seconds=2.0, recorded_at=e, readings={"val": {sweep.metric.removeprefix("val/"): value}})
        for e, value in enumerate(values, start=1)
    ]
    ledger.trials.record_epochs(trial.id, attempt=attempt, rows=rows, metric=sweep.metric, goal=sweep.goal)
    ending = Ending(state=state, error="nan" if state is TrialState.FAILED else None)
    ledger.trials.finish(trial.id, attempt=attempt, ending=ending)
    return trial.id


def test_the_nodes_are_shown_if_there_were_several(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    add(ledger, sweep, 0, TrialState.COMPLETED, 0.9, node="gpu-1")
    assert "node" not in Leaderboard.read(ledger, sweep).header()
    add(ledger, sweep, 1, TrialState.COMPLETED, 0.8, node="gpu-2")
    add(ledger, sweep, 2, TrialState.COMPLETED, 0.7)
    board = Leaderboard.read(ledger, sweep)
    column = board.header().index("node")
    assert [row[column] for row in board.cells()] == ["gpu-1", "gpu-2", ""]
    assert [row["node"] for row in board.as_json()] == ["gpu-1", "gpu-2", None]


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


SEVERAL = [
    {"name": "latency_ms", "goal": "minimize", "limit": 20.0, "wanted": True},
    {"name": "val/ece", "goal": "minimize", "limit": 0.2, "wanted": False},
]
COSTS = {
    "classes": 10,
    "processor": "a processor",
    "threads": 1,
    "load": 3.0,
    "models": [
        {"backbone": name, "pool": "backbone", "parameters": 10, "features": 5, "latency_ms": ms, "repeats": 20}
        for name, ms in (("slow", 15.0), ("fast", 5.0), ("slowest", 30.0))
    ],
}


def add_several(ledger: Ledger, sweep: Sweep, number: int, backbone: str, **val: float) -> str:
    recipe = {"backbone": backbone}
    trial = ledger.trials.create(sweep.id, number=number, point={}, recipe=recipe, identity=str(number), seed=0)
    attempt = ledger.trials.start_attempt(trial.id).attempt
    row = EpochRow(epoch=1, seconds=2.0, recorded_at=1, readings={"val": val})
    ledger.trials.record_epochs(
        trial.id,
        attempt=attempt,
        rows=[row],
        metric=sweep.metric,
        goal=sweep.goal,
        ending=Ending(state=TrialState.COMPLETED),
        breaks=partial(Limits.from_sweep(sweep).broken_by, recipe),
    )
    return trial.id


def several(ledger: Ledger) -> Sweep:
    return ledger.sweeps.create(
        name="a",
        spec_text="",
        spec_file="",
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=0,
        data={},
        settings={"space.drawn": ["backbone"], "metric.further": SEVERAL},
        model_costs=COSTS,
    )


def test_trials_that_break_a_limit_rank_below_all_that_keep_it_and_are_never_best(ledger: Ledger) -> None:
    sweep = several(ledger)
    too_slow = add_several(ledger, sweep, 0, "slowest", accuracy=0.99, ece=0.1)
    accurate = add_several(ledger, sweep, 1, "slow", accuracy=0.9, ece=0.1)
    dominated = add_several(ledger, sweep, 2, "slow", accuracy=0.8, ece=0.1)
    fast = add_several(ledger, sweep, 3, "fast", accuracy=0.7, ece=0.1)
    overconfident = add_several(ledger, sweep, 4, "fast", accuracy=0.95, ece=0.3)
    board = Leaderboard.read(ledger, sweep)
    assert [trial.id for trial in board.trials] == [accurate, dominated, fast, too_slow, overconfident]
    assert [trial.id for trial in board.ranked] == [accurate, dominated, fast]
    rows = {row["trial_id"]: row for row in board.as_json()}
    assert {trial_id for trial_id, row in rows.items() if row["pareto"]} == {accurate, fast}
    assert rows[too_slow]["breaks"] == "latency_ms 30 > 20"
    assert rows[overconfident]["breaks"] == "val/ece 0.3000 > 0.2"
    assert rows[fast]["metrics"]["latency_ms"] == 5.0
    assert rows[fast]["metrics"]["parameters"] == 10 + 5 * 10 + 10
    assert board.header()[2:6] == ["val/accuracy", "latency_ms", "val/ece", "pareto"]
    assert board.cells()[0][2:6] == ["0.9000", "15", "0.1000", "*"]
    assert board.cells()[3][-1] == "latency_ms 30 > 20"
    assert [trial.id for trial in board.only_pareto().trials] == [accurate, fast]
    assert ledger.sweeps.trial_counts([sweep.id])[sweep.id].best_value(sweep.goal) == 0.9
    assert any("the machine was busy" in line for line in board.objectives.notes())


def test_a_sweep_without_a_trial_that_keeps_the_limits_says_so(ledger: Ledger) -> None:
    sweep = several(ledger)
    only = add_several(ledger, sweep, 0, "slowest", accuracy=0.99, ece=0.1)
    board = Leaderboard.read(ledger, sweep)
    assert board.best is None
    assert board.no_candidate() == (
        f"no trial keeps latency_ms <= 20 and val/ece <= 0.2; the best of those that do not, {only}, has "
        "latency_ms 30 > 20"
    )


def test_a_sweep_with_one_metric_has_no_pareto_set(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    add(ledger, sweep, 0, TrialState.COMPLETED, 0.7)
    board = Leaderboard.read(ledger, sweep)
    assert (board.as_json()[0]["pareto"], board.as_json()[0]["breaks"]) == (None, None)
    with pytest.raises(UsageError, match="has one metric to optimise"):
        board.only_pareto()
