"""Budgets that change while a sweep runs: what starts, what ends, and how the sweep goes on after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from search_spaces import SweepSpec, parse_spec
from service.coordination import Coordinator, Result, new_sweep
from service.ledgers import EpochRow, Ledger, SweepState, Trial, TrialState
from service.plans import flat_settings
from service.schedulers import build_scheduler
from service.searchers import build_searcher
from service.sweeps import change_sweep

GRID = """
name: cells
data: {source: digits, image_size: 16}
space:
  freeze_depth: {values: [all, -1, 0]}
  dropout.rate: {values: [0.0, 0.1, 0.2, 0.3]}
search: {algorithm: grid, seed: 3}
budget: {trials: 4, epochs: 1}
"""
RANDOM = GRID.replace("grid", "random")
TPE = GRID.replace("grid", "tpe")
POINTS = """
name: cells
data: {source: digits, image_size: 16}
search: {algorithm: points, points: [{batch_size: 8}, {batch_size: 16}, {batch_size: 32}, {batch_size: 64}]}
budget: {trials: 2, epochs: 1}
"""


class Watch:
    """A clock in seconds that tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open_file(tmp_path / "ledger.db", clock=count().__next__)) as ledger:
        yield ledger


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def drive(ledger: Ledger, watch: Watch) -> Callable[[str], Coordinator]:
    """Return a function that makes the coordinator of a sweep as its driver does."""

    def make(sweep_id: str) -> Coordinator:
        past = ledger.history(sweep_id)
        sweep = ledger.sweeps.move(sweep_id, SweepState.RUNNING)
        spec = parse_spec(sweep.spec_text, file="sweep.yaml")
        return Coordinator(
            spec=spec,
            sweep=sweep,
            ledger=ledger,
            searcher=build_searcher(spec, trials=sweep.first_settings.get("budget.trials")),
            scheduler=build_scheduler(spec),
            clock=watch,
            gpu_share=1.0,
            history=past,
        )

    return make


def add(ledger: Ledger, text: str) -> str:
    spec = parse_spec(text, file="sweep.yaml")
    return new_sweep(spec, ledger, data={}, settings=flat_settings(spec)).id


def change(ledger: Ledger, coordinator: Coordinator, *assign: str) -> SweepSpec:
    """Change the budget in the ledger, and let the coordinator know, as its driver does."""
    changed = change_sweep(ledger, coordinator.sweep.id, assign=assign)
    spec = parse_spec(changed.spec_text, file="sweep.yaml")
    coordinator.change_budget(spec)
    return spec


def start(coordinator: Coordinator) -> Trial:
    trial = coordinator.next_trial()
    assert trial is not None
    return trial


def finish(coordinator: Coordinator, trial: Trial) -> None:
    value = 0.5 + (trial.number * 7 % 5) / 10
    row = EpochRow(epoch=1, seconds=10.0, recorded_at=1, readings={"val": {"accuracy": value}})
    assert coordinator.record(trial.id, Result(rows=(row,), done=True))


def run_all(coordinator: Coordinator) -> list[int]:
    """Run trials until none is left; return their numbers."""
    numbers = []
    while (trial := coordinator.next_trial()) is not None:
        finish(coordinator, trial)
        numbers.append(trial.number)
    return numbers


@pytest.mark.parametrize("text", [RANDOM, TPE, GRID, POINTS], ids=["random", "tpe", "grid", "points"])
def test_more_trials_are_drawn_and_an_interruption_changes_none_of_them(
    ledger: Ledger, drive: Callable[[str], Coordinator], text: str
) -> None:
    more = "budget.trials=4" if text == POINTS else "budget.trials=9"

    def recipes(sweep_id: str) -> list[object]:
        return [(trial.number, trial.recipe) for trial in ledger.trials.list(sweep_id)]

    whole = drive(add(ledger, text))
    finish(whole, start(whole))
    change(ledger, whole, more)
    run_all(whole)
    cut_id = add(ledger, text)
    cut = drive(cut_id)
    finish(cut, start(cut))
    change(ledger, cut, more)
    finish(cut, start(cut))
    for _ in range(1 if text == POINTS else 2):
        ledger.sweeps.move(cut_id, SweepState.INTERRUPTED)
        cut = drive(cut_id)
        finish(cut, start(cut))
    run_all(cut)
    assert recipes(cut_id) == recipes(whole.sweep.id)
    assert len(recipes(cut_id)) == cut.planned == (4 if text == POINTS else 9)


def test_a_sweep_that_has_drawn_its_last_trial_goes_on_with_more(
    ledger: Ledger, drive: Callable[[str], Coordinator]
) -> None:
    coordinator = drive(add(ledger, RANDOM))
    assert run_all(coordinator) == [0, 1, 2, 3]
    assert coordinator.end_if_done()
    change(ledger, coordinator, "budget.trials=6")
    assert not coordinator.end_if_done()
    assert coordinator.startable == 2
    assert run_all(coordinator) == [4, 5]
    assert coordinator.end_if_done()
    assert coordinator.cut_short is None


def test_with_fewer_trials_none_starts_and_running_ones_finish(
    ledger: Ledger, drive: Callable[[str], Coordinator]
) -> None:
    coordinator = drive(add(ledger, RANDOM))
    running = [start(coordinator), start(coordinator)]
    change(ledger, coordinator, "budget.trials=1")
    assert coordinator.next_trial() is None
    assert (coordinator.startable, coordinator.planned) == (0, 2)
    for trial in running:
        finish(coordinator, trial)
    assert coordinator.end_if_done()
    assert [trial.state for trial in ledger.trials.list(coordinator.sweep.id)] == [TrialState.COMPLETED] * 2


def test_a_sweep_whose_wall_time_is_spent_goes_on_with_more(
    ledger: Ledger, drive: Callable[[str], Coordinator], watch: Watch
) -> None:
    coordinator = drive(add(ledger, RANDOM.replace("epochs: 1", "epochs: 1, wall: 60s")))
    finish(coordinator, start(coordinator))
    watch.now = 61
    assert str(coordinator.closing) == "budget.wall of 60 s is spent"
    assert coordinator.next_trial() is None
    change(ledger, coordinator, "budget.wall=2m")
    assert coordinator.closing is None
    assert run_all(coordinator) == [1, 2, 3]
    assert coordinator.cut_short is None
    change(ledger, coordinator, "budget.trials=9", "budget.wall=30s")
    assert coordinator.next_trial() is None
    assert coordinator.cut_short == "budget.wall of 30 s is spent"


@pytest.mark.parametrize("assign", ["budget.gpu_hours=0.001", "budget.wall=5s"])
def test_a_limit_below_what_is_spent_ends_running_trials_at_their_next_report(
    ledger: Ledger, drive: Callable[[str], Coordinator], watch: Watch, assign: str
) -> None:
    coordinator = drive(add(ledger, RANDOM.replace("epochs: 1", "epochs: 3")))
    trial = start(coordinator)
    watch.now = 10
    change(ledger, coordinator, assign)
    row = EpochRow(epoch=1, seconds=10.0, recorded_at=1, readings={"val": {"accuracy": 0.5}})
    assert coordinator.record(trial.id, Result(rows=(row,), done=False))
    assert ledger.trials.get(trial.id).state is TrialState.CANCELLED
    assert coordinator.end_if_done()


def test_a_limit_of_failures_that_is_raised_lets_the_sweep_go_on(
    ledger: Ledger, drive: Callable[[str], Coordinator]
) -> None:
    coordinator = drive(add(ledger, RANDOM.replace("epochs: 1", "epochs: 1, max_failed: 0")))
    coordinator.record(start(coordinator).id, Result(rows=(), done=False, error="no"))
    assert (coordinator.failed_too_often, coordinator.next_trial()) == (True, None)
    change(ledger, coordinator, "budget.max_failed=1")
    assert not coordinator.failed_too_often
    assert run_all(coordinator) == [1, 2, 3]


def test_a_pause_is_not_undone_by_more_budget(
    ledger: Ledger, drive: Callable[[str], Coordinator], watch: Watch
) -> None:
    coordinator = drive(add(ledger, RANDOM.replace("epochs: 1", "epochs: 1, wall: 60s")))
    watch.now = 61
    coordinator.pause("paused by `meltpoint pause`")
    change(ledger, coordinator, "budget.wall=1h", "budget.trials=9")
    assert coordinator.closing is not None
    assert coordinator.next_trial() is None


def test_a_space_that_is_used_up_stays_so(ledger: Ledger, drive: Callable[[str], Coordinator]) -> None:
    coordinator = drive(add(ledger, GRID.replace("trials: 4", "trials: 12")))
    assert len(run_all(coordinator)) == 12
    change(ledger, coordinator, "budget.trials=30")
    assert coordinator.end_if_done()
    assert coordinator.planned == 12
