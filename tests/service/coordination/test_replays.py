"""Sweeps interrupted at any report, then resumed: recipes, decisions and rows are those of an uninterrupted sweep."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import SweepSpec, parse_spec
from service.coordination import Coordinator, Result, new_sweep
from service.errors import ResumeError
from service.ledgers import EpochRow, Ledger, SweepState, Trial
from service.schedulers import build_scheduler
from service.searchers import build_searcher

EXAMPLES = 12
SPACE = """
name: cells
data: {source: digits, image_size: 16}
space:
  freeze_depth: {values: [all, -1, 0]}
  dropout.rate: {min: 0.0, max: 0.5}
  optimizer:
    one_of:
      - {name: sgd, lr: {min: 1.0e-3, max: 1.0e-1, log: true}}
      - {name: adamw, lr: {min: 1.0e-5, max: 3.0e-3, log: true}}
"""
GRID = """
name: cells
data: {source: digits, image_size: 16}
space:
  freeze_depth: {values: [all, -1, 0]}
  dropout.rate: {values: [0.0, 0.1, 0.2, 0.4]}
"""
SEARCHES = {
    "random": SPACE + "search: {algorithm: random, seed: 3, points: [{optimizer.name: sgd}, {dropout.rate: 0.5}]}\n",
    "tpe": SPACE + "search: {algorithm: tpe, seed: 3}\n",
    "grid": GRID + "search: {algorithm: grid, seed: 3}\n",
}
SCHEDULERS = {
    "none": "scheduler: {type: none}\n",
    "asha": "scheduler: {type: asha, grace_epochs: 1, reduction_factor: 3}\n",
    "brackets": "scheduler: {type: asha, grace_epochs: 1, reduction_factor: 3, brackets: 2}\n",
    "median": "scheduler: {type: median, grace_epochs: 1, min_trials: 2}\n",
}
BUDGET = "budget: {trials: 11, epochs: 9}\n"
SLOTS = 3


@dataclass
class Cluster:
    """Workers whose measures depend only on recipe and epoch.

    A trial's next attempt starts `lost` epochs before the epoch of the last report, as from a checkpoint.
    """

    ledger: Ledger
    spec: SweepSpec
    sweep_id: str
    lost: int = 0
    at: dict[str, int] = field(default_factory=dict)

    def drive(self, reports: Iterator[int] | range) -> None:
        """Run the sweep until no trial is left, or until `reports` are used up."""
        past = self.ledger.history(self.sweep_id)
        coordinator = Coordinator(
            spec=self.spec,
            sweep=self.ledger.sweeps.move(self.sweep_id, SweepState.RUNNING),
            ledger=self.ledger,
            searcher=build_searcher(self.spec),
            scheduler=build_scheduler(self.spec),
            clock=lambda: 0.0,
            history=past,
        )
        self.at = {}
        for _ in reports:
            self._fill(coordinator)
            if not self.at:
                return
            self._report(coordinator)

    def _fill(self, coordinator: Coordinator) -> None:
        while len(self.at) < SLOTS and (trial := coordinator.next_trial()) is not None:
            self.at[trial.id] = max(0, trial.epochs - self.lost)

    def _report(self, coordinator: Coordinator) -> None:
        """Report for the trial with the fewest epochs, the lowest id among equals: the order of a steady machine."""
        recorded = {trial.id: trial.epochs for trial in self.ledger.trials.list(self.sweep_id)}
        trial_id = min(self.at, key=lambda trial_id: (recorded[trial_id], trial_id))
        trial = self.ledger.trials.get(trial_id)
        last = next(epoch for epoch in sorted(coordinator.milestones) if epoch > recorded[trial_id])
        rows = tuple(_measured(trial, epoch) for epoch in range(self.at[trial_id] + 1, last + 1))
        self.at[trial_id] = last
        if coordinator.record(trial_id, Result(rows=rows, done=last == self.spec.budget.epochs)):
            del self.at[trial_id]


def _measured(trial: Trial, epoch: int) -> EpochRow:
    drawn = int.from_bytes(hashlib.sha256(f"{trial.identity}/{epoch}".encode()).digest()[:4], "big") / 2**32
    value = 0.5 + 0.04 * epoch + 0.3 * drawn
    return EpochRow(epoch=epoch, seconds=1.0, recorded_at=epoch, readings={"val": {"accuracy": value}})


def _sweep(ledger: Ledger, spec: SweepSpec) -> str:
    return new_sweep(spec, ledger, data={}, settings={}).id


def _outcome(ledger: Ledger, sweep_id: str) -> list[object]:
    """Return everything that must not depend on interruptions."""
    return [
        (trial.number, trial.recipe, trial.state, trial.best_epoch, trial.best_value, ledger.trials.epochs(trial.id))
        for trial in ledger.trials.list(sweep_id)
    ]


@pytest.mark.experiment(21, examples=EXAMPLES)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("search", SEARCHES)
@given(cuts=st.lists(st.integers(0, 25), min_size=1, max_size=4), lost=st.integers(0, 3))
@settings(max_examples=EXAMPLES)
def test_interruptions_change_nothing(search: str, scheduler: str, cuts: list[int], lost: int) -> None:
    spec = _spec(search, scheduler)
    with _new_ledger() as ledger:
        cut = _sweep(ledger, spec)
        for reports in cuts:
            Cluster(ledger, spec, cut, lost=lost).drive(range(reports))
            ledger.sweeps.move(cut, SweepState.INTERRUPTED)
        Cluster(ledger, spec, cut, lost=lost).drive(count())
        assert _outcome(ledger, cut) == _uninterrupted_outcome(search, scheduler)


def _spec(search: str, scheduler: str) -> SweepSpec:
    return parse_spec(SEARCHES[search] + SCHEDULERS[scheduler] + BUDGET, file="sweep.yaml")


@cache
def _uninterrupted_outcome(search: str, scheduler: str) -> list[object]:
    """Return the outcome of a sweep that nothing interrupts, the same in every example."""
    spec = _spec(search, scheduler)
    with _new_ledger() as ledger:
        whole = _sweep(ledger, spec)
        Cluster(ledger, spec, whole).drive(count())
        return _outcome(ledger, whole)


def _new_ledger() -> closing[Ledger]:
    return closing(Ledger("sqlite://", clock=count().__next__))


def test_a_search_that_began_with_points_goes_on_as_if_nothing_had_interrupted_it() -> None:
    points = "points: [{optimizer: {name: sgd, lr: 0.05}}, {dropout.rate: 0.5}]"
    text = SEARCHES["tpe"].replace("seed: 3", f"seed: 3, {points}") + SCHEDULERS["asha"] + BUDGET
    spec = parse_spec(text, file="sweep.yaml")
    with _new_ledger() as ledger:
        whole, cut = _sweep(ledger, spec), _sweep(ledger, spec)
        Cluster(ledger, spec, whole).drive(count())
        for reports in (1, 4, 9):
            Cluster(ledger, spec, cut).drive(range(reports))
            ledger.sweeps.move(cut, SweepState.INTERRUPTED)
        Cluster(ledger, spec, cut).drive(count())
        assert _outcome(ledger, cut) == _outcome(ledger, whole)
        assert ledger.trials.list(cut)[0].recipe["optimizer.lr"] == 0.05


def test_more_budget_goes_on_where_the_search_was(tmp_path: Path) -> None:
    text = SEARCHES["tpe"] + SCHEDULERS["asha"]
    longer = parse_spec(text + BUDGET, file="sweep.yaml")
    shorter = parse_spec(text + BUDGET.replace("11", "6"), file="sweep.yaml")
    ledger = Ledger.open_file(tmp_path / "ledger.db", clock=count().__next__)
    sweep_id = _sweep(ledger, shorter)
    Cluster(ledger, shorter, sweep_id).drive(count())
    first = _outcome(ledger, sweep_id)
    ledger.sweeps.move(sweep_id, SweepState.INTERRUPTED)
    Cluster(ledger, longer, sweep_id).drive(count())
    assert _outcome(ledger, sweep_id)[: len(first)] == first
    assert len(ledger.trials.list(sweep_id)) == 11
    ledger.close()


def test_a_search_that_draws_otherwise_is_refused(tmp_path: Path) -> None:
    spec = parse_spec(SEARCHES["random"] + BUDGET, file="sweep.yaml")
    other = parse_spec(SEARCHES["random"].replace("seed: 3", "seed: 4") + BUDGET, file="sweep.yaml")
    ledger = Ledger.open_file(tmp_path / "ledger.db", clock=count().__next__)
    sweep_id = _sweep(ledger, spec)
    Cluster(ledger, spec, sweep_id).drive(range(5))
    ledger.sweeps.move(sweep_id, SweepState.INTERRUPTED)
    with pytest.raises(ResumeError, match=r"s-\w+-0003 cannot be drawn again as it was"):
        Cluster(ledger, other, sweep_id).drive(range(5))
    ledger.close()


def test_a_list_whose_recipes_were_recorded_without_a_weight_decay_goes_on() -> None:
    points = "search: {algorithm: points, points: [{optimizer.name: sgd}, {optimizer.name: adam}]}\n"
    spec = parse_spec(f"name: a\ndata: {{source: digits}}\n{points}{BUDGET}", file="sweep.yaml")
    older = spec.points[0].recorded()
    assert "optimizer.weight_decay" not in older
    with _new_ledger() as ledger:
        sweep_id = _sweep(ledger, spec)
        ledger.trials.create(
            sweep_id, number=0, point=older, recipe=older, identity=spec.points[0].identity, seed=0, started=True
        )
        ledger.sweeps.move(sweep_id, SweepState.RUNNING)
        ledger.sweeps.move(sweep_id, SweepState.INTERRUPTED)
        Cluster(ledger, spec, sweep_id).drive(count())
        assert [trial.recipe["optimizer.name"] for trial in ledger.trials.list(sweep_id)] == ["sgd", "adam"]
