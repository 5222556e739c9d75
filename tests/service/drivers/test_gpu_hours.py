"""GPU hours of a sweep on a service: real coordinators and ledger, the pool's questions, a clock that tests move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from search_spaces import parse_spec
from service.coordination import Coordinator
from service.drivers.messages import Crashed, NextTrial, Offer, Preempt, Reported
from service.drivers.pool_client import _Desk
from service.ledgers import Cause, Ledger, Role, Sweep, SweepState, Trial, TrialState
from service.queues import make_gpu_reservations
from service.schedulers import build_scheduler
from service.searchers import build_searcher

SPEC = """
name: cells
data: {source: digits, image_size: 16}
space:
  freeze_depth: {values: [all, -1, 0]}
  dropout.rate: {min: 0.0, max: 0.5}
search: {algorithm: random, seed: 3}
budget: {trials: 6, epochs: 9}
"""
STRETCH = 30.0
"""Seconds between two reports of a trial."""


class Driver:
    """A driver of one sweep as the pool sees it, from its lease on."""

    def __init__(self, ledger: Ledger, sweep: Sweep, clock: Callable[[], float], *, gpus: float, text: str) -> None:
        lease = ledger.leases.take(sweep.id, holder=f"driver-{clock()}", seconds=0.0)
        self.ledger = ledger.with_lease(lease)
        spec = parse_spec(text, file="sweep.yaml")
        self.coordinator = Coordinator(
            spec=spec,
            sweep=sweep,
            ledger=self.ledger,
            searcher=build_searcher(spec),
            scheduler=build_scheduler(spec),
            clock=clock,
            gpu_share=gpus,
            history=ledger.history(sweep.id),
            gpu_budget=make_gpu_reservations(self.ledger, sweep, gpus=gpus),
        )
        self.failures: list[Exception] = []
        self.desk = _Desk(self.coordinator, lambda trial: {"trial_id": trial.id}, self.failures)
        self.epochs: dict[str, int] = {}

    def next(self) -> str | None:
        """Return the id of the trial that the driver gives to a free lane."""
        offer: Offer = self.desk.answer(NextTrial())
        assert self.failures == []
        return None if offer.config is None else str(offer.config["trial_id"])

    def start(self, trials: int) -> list[str]:
        """Return the ids of as many trials, all of which start."""
        started = [self.next() for _ in range(trials)]
        assert None not in started
        return [str(trial_id) for trial_id in started]

    def report(self, trial_id: str, *, seconds: float = STRETCH, done: bool = False) -> bool:
        """Report an epoch; return whether the trial has ended."""
        epoch = self.epochs[trial_id] = self.epochs.get(trial_id, 0) + 1
        row = {"epoch": epoch, "seconds": seconds, "recorded_at": epoch, "readings": {"val": {"accuracy": 0.5}}}
        report = {"history": [row], "done_training": done, "latest_checkpoint": f"epoch-{epoch}"}
        has_ended, _wanted = self.desk.answer(Reported(trial_id=trial_id, report=report))
        assert self.failures == []
        return bool(has_ended)


class Service:
    """A ledger with the user ada, and a clock."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.now = ledger, 0.0

    def submit(self, *, hours: float | None = None, gpus: float = 1.0, budget: str = "") -> tuple[Sweep, Driver]:
        """Start a sweep of ada, who may use so many GPU hours."""
        self.ledger.users.create("ada", Role.SUBMITTER, gpu_hours=hours)
        text = SPEC.replace("epochs: 9", f"epochs: 9{budget}")
        sweep, _ = self.ledger.sweeps.submit(
            name="cells",
            spec_text=text,
            spec_file="sweep.yaml",
            metric="val/accuracy",
            goal=parse_spec(text, file="sweep.yaml").metric.goal,
            seed=3,
            settings={},
            owner="ada",
        )
        sweep = self.ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        return sweep, self.drive(sweep, gpus=gpus, text=text)

    def drive(self, sweep: Sweep, *, gpus: float = 1.0, text: str = SPEC) -> Driver:
        return Driver(self.ledger, sweep, lambda: self.now, gpus=gpus, text=text)

    def trial(self, trial_id: str) -> Trial:
        return self.ledger.trials.get(trial_id)

    @property
    def account(self) -> tuple[float, float]:
        """Ada's GPU seconds: used, reserved."""
        ada = self.ledger.users.get("ada")
        return round(ada.gpu_seconds_used, 6), round(ada.gpu_seconds_reserved, 6)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made: Any = None
    ledger = Ledger.open_file(tmp_path / "ledger.db", clock=lambda: int(made.now * 1000) if made else 0)
    made = Service(ledger)
    yield made
    ledger.close()


def test_a_trial_reserves_its_time_before_it_trains_and_settles_at_each_report(service: Service) -> None:
    _, driver = service.submit(hours=1.0, gpus=0.5)
    (trial,) = driver.start(1)
    assert service.account == (0.0, 30.0), "a first stretch of a minute on half a GPU"
    service.now += STRETCH
    assert not driver.report(trial)
    assert service.account == (15.0, 22.5)
    service.now += 10.0
    assert driver.report(trial, done=True)
    assert service.account == (20.0, 0.0)


def test_trials_in_parallel_do_not_pass_the_limit_of_their_user_and_the_sweep_pauses(service: Service) -> None:
    hours = 600 / 3600
    sweep, driver = service.submit(hours=hours)
    trials = driver.start(4)
    while trials:
        service.now += STRETCH
        trials = [trial for trial in trials if not driver.report(trial)]
    used, reserved = service.account
    assert 600 - 4 * STRETCH <= used <= 600
    assert reserved == 0.0
    coordinator = driver.coordinator
    assert (coordinator.is_done, coordinator.paused, coordinator.startable) == (True, True, 0)
    assert coordinator.closing == (
        f"ada has used {used / 3600:.1f} of {hours:g} GPU hours; "
        "an admin can raise them: meltpoint user set ada --gpu-hours N"
    )
    assert driver.next() is None
    for trial in service.ledger.trials.list(sweep.id):
        assert (trial.state, trial.latest) == (TrialState.PAUSED, f"epoch-{trial.epochs}")


def test_no_trial_starts_without_time_while_others_train_on(service: Service) -> None:
    sweep, driver = service.submit(hours=100 / 3600)
    trials = driver.start(2)
    assert service.account == (0.0, 70.0), "the second gets a short stretch"
    driver.start(3)
    assert driver.next() is None
    assert driver.coordinator.startable == 0, "nobody need give way to this sweep"
    assert not driver.coordinator.is_done
    assert len(service.ledger.trials.list(sweep.id)) == 5
    service.now += 5.0
    assert driver.report(trials[0], done=True)
    assert driver.coordinator.startable == 1
    assert driver.next() is not None


def test_a_sweep_without_a_first_trial_pauses_if_its_user_has_no_time_left(service: Service) -> None:
    sweep, driver = service.submit(hours=5 / 3600)
    assert driver.next() is None
    assert driver.coordinator.is_done
    assert driver.coordinator.paused
    assert service.ledger.trials.list(sweep.id) == []


def test_a_trial_that_waits_for_time_goes_on_when_an_admin_raises_the_limit(service: Service) -> None:
    sweep, driver = service.submit(hours=130 / 3600)
    first, second = driver.start(2)
    service.now += STRETCH
    assert not driver.report(second)
    service.now += STRETCH
    assert driver.report(second), "60 s are used, and 60 reserved for the first trial"
    assert service.trial(second).state is TrialState.PAUSED
    assert driver.next() is None
    service.ledger.users.change("ada", gpu_hours=1.0)
    assert driver.next() == second
    assert service.trial(second).attempt == 2
    assert not driver.report(first)
    assert service.ledger.sweeps.get(sweep.id).state is SweepState.RUNNING


def test_a_stop_ends_trials_that_get_no_more_time(service: Service) -> None:
    _, driver = service.submit(hours=40 / 3600)
    (trial,) = driver.start(1)
    driver.coordinator.drain("stopped by `meltpoint stop`")
    service.now += 35.0
    assert driver.report(trial)
    assert driver.coordinator.is_done
    assert not driver.coordinator.paused
    assert driver.next() is None
    assert service.trial(trial).state is TrialState.CANCELLED
    assert "GPU hours" in str(driver.coordinator.cut_short)


def test_a_trial_that_crashes_or_makes_way_pays_for_the_time_it_had(service: Service) -> None:
    _, driver = service.submit(hours=1.0)
    first, second = driver.start(2)
    service.now += 8.0
    driver.desk.answer(Crashed(trial_id=first, reason="gone", text="gone", cause=Cause.DIED))
    assert service.account == (8.0, 60.0)
    service.now += 2.0
    assert not driver.report(second)
    driver.desk.answer(Preempt(trial_id=second, reason="another sweep waits"))
    assert service.account == (18.0, 0.0)
    assert driver.failures == []


def test_a_driver_that_dies_leaves_no_reservation_and_the_next_goes_on(service: Service) -> None:
    sweep, driver = service.submit(hours=1.0)
    trials = driver.start(3)
    service.now += STRETCH
    driver.report(trials[0])
    assert service.account == (30.0, 60.0 + 60.0 + 45.0)
    service.ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED)
    assert service.account == (30.0, 0.0)
    service.ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    other = service.drive(sweep)
    assert other.start(1) == trials[:1]
    assert service.account == (30.0, 60.0)
    assert driver.desk.answer(Reported(trial_id=trials[1], report={"history": [], "done_training": True}))[0]
    assert service.account == (30.0, 60.0), "the old driver has nothing more to say"


def test_a_user_without_a_limit_is_charged_too(service: Service) -> None:
    _, driver = service.submit()
    (trial,) = driver.start(1)
    service.now += 7.0
    driver.report(trial, done=True)
    assert service.account == (7.0, 0.0)


def test_a_sweep_without_gpus_costs_its_user_nothing(service: Service) -> None:
    _, driver = service.submit(hours=0.0, gpus=0.0)
    (trial,) = driver.start(1)
    service.now += 1000.0
    assert driver.report(trial, done=True)
    assert service.account == (0.0, 0.0)


def test_trials_in_parallel_do_not_pass_the_budget_of_their_sweep(service: Service) -> None:
    """A budget of 100 s on four GPUs is spent after 25 s, before anybody has reported."""
    _, driver = service.submit(budget=f", gpu_hours: {100 / 3600}")
    trials = driver.start(4)
    service.now += 24.0
    assert driver.coordinator.closing is None
    service.now += 1.0
    assert str(driver.coordinator.closing).startswith("budget.gpu_hours of ")
    assert all(driver.report(trial, seconds=25.0) for trial in trials)
    assert {service.trial(trial).state for trial in trials} == {TrialState.CANCELLED}
    assert service.account == (100.0, 0.0)


def test_the_budget_of_a_sweep_counts_a_stretch_once(service: Service) -> None:
    _, driver = service.submit(budget=f", gpu_hours: {100 / 3600}")
    trials = driver.start(2)
    service.now += STRETCH
    assert not any(driver.report(trial) for trial in trials)
    service.now += 19.0
    assert driver.coordinator.closing is None
    service.now += 1.0
    assert driver.coordinator.closing is not None
