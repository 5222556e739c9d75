"""A driver whose sweep's budget changes at the last moment, without Ray, torch or MLflow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, cast

import pytest

from search_spaces import BudgetSpec, parse_spec
from service.clocks import now_ms
from service.clusters import Allotment
from service.coordination import Coordinator, Result, new_sweep
from service.ledgers import EpochRow, Ledger, Sweep, SweepState
from service.plans import flat_settings
from service.reports import Leaderboard
from service.runs import SilentListener
from service.runs.driver import Driver
from service.runs.image_sets import ImageSets
from service.runs.leases import driving
from service.settings import Home
from service.sweeps import change_sweep
from tests.service.sweeps.sweeps import DATA, SPEC

WIDE = SPEC.replace("[8, 16]", "[8, 16, 32, 64, 128]")


class Helper:
    """Stands for the helpers of torch and MLflow, which have nothing to do here."""

    def start(self, *_arguments: object) -> Helper:
        """Return something with a result."""
        return self

    def result(self) -> None:
        """Return nothing."""

    def call(self, *_arguments: object) -> None:
        """Return nothing."""


class Listening(SilentListener):
    """Keeps what a driver says."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.budgets: list[int] = []

    def notice(self, text: str) -> None:
        """Keep it."""
        self.notices.append(text)

    def budget_changed(self, budget: BudgetSpec) -> None:
        """Keep the number of trials."""
        self.budgets.append(budget.trials)


class Site:
    """A home with a sweep and its driver."""

    def __init__(self, home: Home, ledger: Ledger, stack: ExitStack, text: str) -> None:
        spec = parse_spec(text, file=str(home.root / "sweep.yaml"))
        self.ledger, self.listener = ledger, Listening()
        self.sweep: Sweep = new_sweep(spec, ledger, data=DATA, settings=flat_settings(spec))
        keeper = stack.enter_context(driving(home, ledger, self.sweep.id))
        helper = cast(Any, Helper())
        self.driver = Driver(
            spec,
            ImageSets(by_backbone={}, summary={}, skipped=()),
            self.sweep,
            home=home,
            ledger=ledger.with_lease(keeper.lease),
            keeper=keeper,
            listener=self.listener,
            torch_helper=helper,
            mlflow_helper=helper,
            make_mlflow_helper=lambda: helper,
            allotment=Allotment(slots=1, cpu=1.0, gpu=0.0),
        )
        self.offered: list[int] = []
        self.before_offer: Callable[[], None] = lambda: None
        self.driver.offers = cast(Any, self)

    def offer_first_usable(self, board: Leaderboard) -> None:
        """Take note of the trials that had ended when the best was offered."""
        self.offered.append(len(board.trials))
        before, self.before_offer = self.before_offer, lambda: None
        before()

    def change(self, *assign: str) -> None:
        """Change the budget, as another process does."""
        change_sweep(self.ledger, self.sweep.id, assign=assign)

    @property
    def trials(self) -> int:
        """The number of trials in the ledger."""
        return len(self.ledger.trials.list(self.sweep.id))

    @property
    def row(self) -> Sweep:
        """The sweep's row."""
        return self.ledger.sweeps.get(self.sweep.id)


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    home = Home(tmp_path / "home").create()
    with ExitStack() as stack:
        ledger = stack.enter_context(closing(Ledger.open(home, clock=now_ms)))
        yield lambda text=WIDE: Site(home, ledger, stack, text)


def train(coordinator: Coordinator, **_more: object) -> None:
    """Train every trial, one after the other."""
    while (trial := coordinator.next_trial()) is not None:
        row = EpochRow(epoch=1, seconds=1.0, recorded_at=1, readings={"val": {"accuracy": 0.5}})
        coordinator.record(trial.id, Result(rows=(row,), done=True))


def test_a_change_while_trials_run_is_followed_at_the_next_poll(make_site: Callable[..., Site]) -> None:
    site = make_site()

    def train_on(coordinator: Coordinator, *, poll: Callable[[], None], **_more: object) -> None:
        site.change("budget.trials=5")
        poll()
        assert coordinator.planned == 5
        train(coordinator)

    site.driver.drive(train_on)
    assert (site.trials, site.offered, site.listener.budgets) == (5, [5], [5])
    assert site.row.state is SweepState.COMPLETED


@pytest.mark.parametrize("leaves_cluster", [False, True])
def test_a_change_after_the_last_trial_lets_further_ones_train(
    make_site: Callable[..., Site], leaves_cluster: bool
) -> None:
    site = make_site()

    def train_and_change(coordinator: Coordinator, **_more: object) -> None:
        train(coordinator)
        if site.trials == 2:
            site.change("budget.trials=4")

    outcome = site.driver.drive(train_and_change, ExitStack() if leaves_cluster else None)
    assert (site.trials, site.offered, outcome.sweep.state) == (4, [4], SweepState.COMPLETED)


def test_a_budget_that_grows_during_the_test_of_the_best_model_lets_further_trials_train(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    site.before_offer = lambda: site.change("budget.trials=4")
    site.driver.drive(train)
    assert (site.trials, site.offered, site.row.state) == (4, [2, 4], SweepState.COMPLETED)
    assert site.listener.notices == []


def test_a_run_that_has_left_its_cluster_says_how_to_go_on(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.before_offer = lambda: site.change("budget.trials=4")
    site.driver.drive(train, ExitStack())
    assert (site.trials, site.offered, site.row.state) == (2, [2], SweepState.COMPLETED)
    assert len(site.listener.notices) == 1
    assert site.listener.notices[0].endswith(f"go on with: meltpoint resume {site.sweep.id}")


def test_a_sweep_that_failed_too_often_goes_on_if_more_may_fail(make_site: Callable[..., Site]) -> None:
    site = make_site(WIDE.replace("epochs: 3", "epochs: 3, max_failed: 0"))

    def fail_once(coordinator: Coordinator, **_more: object) -> None:
        if site.trials == 0:
            trial = coordinator.next_trial()
            assert trial is not None
            coordinator.record(trial.id, Result(rows=(), done=False, error="no"))
            site.change("budget.max_failed=1")
            return
        train(coordinator)

    site.driver.drive(fail_once)
    assert (site.trials, site.row.state, site.row.error) == (2, SweepState.COMPLETED, None)
