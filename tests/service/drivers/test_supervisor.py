"""The supervisor over a real ledger; driver processes are played."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from search_spaces import Goal
from service.drivers.supervisor import MOST_DEATHS, Supervisor
from service.ledgers import Ledger, Sweep, SweepAction, SweepState
from service.queues import Limits
from service.runs.leases import driving
from service.settings import Home
from tests.contracts.ledgers import Ticks, record, row, running_trial


class Driver:
    """A driver process that does what the test says."""

    def __init__(self, sweep_id: str, may_start: bool) -> None:
        self.sweep_id, self.may_start = sweep_id, may_start
        self.ended = self.terminated = self.killed = False
        self.death: str | None = None

    def has_ended(self) -> bool:
        return self.ended

    def failure(self) -> str | None:
        return self.death

    def terminate(self) -> None:
        self.terminated = True

    def kill(self) -> None:
        self.killed = True

    def end(self, death: str | None = None) -> None:
        self.ended, self.death = True, death


class Service:
    def __init__(self, ledger: Ledger, home: Home, most: int = 12) -> None:
        self.ledger, self.home, self.now = ledger, home, 0.0
        self.drivers: list[Driver] = []
        self.supervisor = Supervisor(
            ledger, home, self.start, limits=Limits(max_active_sweeps=most), clock=lambda: self.now
        )

    def start(self, sweep_id: str, may_start: bool) -> Driver:
        self.drivers.append(Driver(sweep_id, may_start))
        return self.drivers[-1]

    def submit(self, owner: str | None = "alice", **options: Any) -> Sweep:
        sweep, _ = self.ledger.sweeps.submit(
            name="cells",
            spec_text="name: cells",
            spec_file="cells.yaml",
            metric="val/accuracy",
            goal=Goal.MAXIMIZE,
            seed=0,
            settings={},
            owner=owner or "nobody",
            **options,
        )
        return sweep

    def step(self, seconds: float = 0.0, problem: str | None = None) -> None:
        self.now += seconds
        self.supervisor.step(problem)

    def state(self, sweep: Sweep) -> SweepState:
        return self.ledger.sweeps.get(sweep.id).state


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    home = Home(tmp_path).create()
    ledger = Ledger.open(home, clock=Ticks())
    yield Service(ledger, home)
    ledger.close()


def test_a_new_sweep_gets_a_driver_that_goes_on_at_once_if_there_is_a_place(service: Service) -> None:
    sweep = service.submit()
    service.step()
    service.step()
    assert [(driver.sweep_id, driver.may_start) for driver in service.drivers] == [(sweep.id, True)]


def test_without_a_cluster_a_new_sweep_is_admitted_only_and_the_ledger_says_why_it_waits(service: Service) -> None:
    sweep = service.submit()
    service.step(problem="the service is starting")
    assert not service.drivers[0].may_start
    service.ledger.sweeps.move(sweep.id, SweepState.QUEUED)
    service.drivers[0].end()
    service.step(problem="the service is starting")
    assert len(service.drivers) == 1
    assert service.ledger.sweeps.get(sweep.id).waiting_for == "the service is starting"
    service.step()
    assert service.drivers[1].may_start
    assert service.ledger.sweeps.get(sweep.id).waiting_for is None


def test_no_more_sweeps_are_under_way_than_the_service_allows(tmp_path: Path) -> None:
    home = Home(tmp_path).create()
    ledger = Ledger.open(home, clock=Ticks())
    service = Service(ledger, home, most=1)
    first, second = service.submit(), service.submit()
    service.step()
    assert [(driver.sweep_id, driver.may_start) for driver in service.drivers] == [
        (first.id, True),
        (second.id, False),
    ]
    ledger.sweeps.move(second.id, SweepState.QUEUED)
    service.drivers[1].end()
    service.step(1.0)
    assert "the limit of this service" in str(ledger.sweeps.get(second.id).waiting_for)
    ledger.sweeps.move(first.id, SweepState.FAILED, error="its images are gone")
    service.drivers[0].end()
    service.step(1.0)
    assert (service.drivers[2].sweep_id, service.drivers[2].may_start) == (second.id, True)
    ledger.close()


def test_a_driver_that_dies_is_replaced(service: Service) -> None:
    sweep = service.submit()
    service.step()
    with driving(service.home, service.ledger, sweep.id):
        service.ledger.sweeps.move(sweep.id, SweepState.QUEUED)
        service.ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    service.drivers[0].end("the driver's process died: killed by SIGKILL")
    service.step()
    assert service.state(sweep) is SweepState.QUEUED
    assert service.ledger.sweeps.get(sweep.id).restarts == 1
    service.step(60.0)
    assert (len(service.drivers), service.drivers[1].may_start) == (2, True)


def test_a_driver_that_hangs_until_its_lease_has_run_out_is_killed_and_replaced(tmp_path: Path) -> None:
    home, now = Home(tmp_path).create(), 1_000_000
    with closing(Ledger.open(home, clock=lambda: now)) as ledger:
        service = Service(ledger, home)
        sweep = service.submit()
        service.step()
        ledger.leases.take(sweep.id, holder="hangs", seconds=30.0)
        for state in (SweepState.QUEUED, SweepState.RUNNING):
            ledger.sweeps.move(sweep.id, state)
        now += 29_000
        service.step(60.0)
        assert [driver.killed for driver in service.drivers] == [False]
        now += 2_000
        service.step(60.0)
        assert [driver.killed for driver in service.drivers] == [True], "no other begins before it has ended"
        service.drivers[0].end("the driver's process died: killed by SIGKILL")
        service.step(60.0)
        service.step(60.0)
        assert [driver.may_start for driver in service.drivers] == [True, True]


def test_a_sweep_that_lost_its_driver_keeps_its_place_before_those_that_never_began(tmp_path: Path) -> None:
    home = Home(tmp_path).create()
    ledger = Ledger.open(home, clock=Ticks())
    service = Service(ledger, home, most=1)
    first, second = service.submit(), service.submit()
    for sweep in (first, second):
        ledger.sweeps.move(sweep.id, SweepState.QUEUED)
    ledger.sweeps.move(first.id, SweepState.RUNNING)
    service.step()
    service.step()
    requeued, waiting = ledger.sweeps.get(first.id), ledger.sweeps.get(second.id)
    assert requeued.state is SweepState.QUEUED
    assert (requeued.queued_at or 0) > (waiting.queued_at or 0)
    assert [(driver.sweep_id, driver.may_start) for driver in service.drivers] == [(first.id, True)]
    ledger.close()


def test_a_sweep_whose_drivers_die_again_and_again_fails_with_the_reason(service: Service) -> None:
    sweep = service.submit()
    for _ in range(MOST_DEATHS):
        service.step(60.0)
        service.drivers[-1].end("the driver's process died: killed by SIGSEGV")
        service.step()
    failed = service.ledger.sweeps.get(sweep.id)
    assert failed.state is SweepState.FAILED
    assert failed.error == (
        f"its driver died {MOST_DEATHS} times in a row; the last time: the driver's process died: killed by SIGSEGV"
    )
    service.step(60.0)
    assert len(service.drivers) == MOST_DEATHS


def test_a_sweep_that_an_error_of_ours_interrupts_again_and_again_fails_with_the_error(service: Service) -> None:
    sweep = service.submit()
    service.ledger.sweeps.move(sweep.id, SweepState.QUEUED)
    for _ in range(MOST_DEATHS):
        service.step(60.0)
        service.ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        service.ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED, error="ValueError: no such column")
        service.drivers[-1].end()
        service.step()
    failed = service.ledger.sweeps.get(sweep.id)
    assert failed.state is SweepState.FAILED
    assert failed.error == f"its driver died {MOST_DEATHS} times in a row; the last time: ValueError: no such column"


def test_a_sweep_that_waits_is_cancelled_paused_or_stopped_without_a_driver(service: Service) -> None:
    endings = {
        SweepAction.CANCEL: SweepState.CANCELLED,
        SweepAction.PAUSE: SweepState.PAUSED,
        SweepAction.STOP: SweepState.STOPPED,
    }
    sweeps = {action: service.submit() for action in endings}
    for action, sweep in sweeps.items():
        service.ledger.sweeps.move(sweep.id, SweepState.QUEUED)
        service.ledger.sweeps.request_action(sweep.id, action)
    service.step(problem="there is no cluster")
    assert {action: service.state(sweep) for action, sweep in sweeps.items()} == endings
    assert service.drivers == []


def test_a_driver_that_still_prepares_a_sweep_is_ended_once_the_sweep_is_to_be_cancelled(service: Service) -> None:
    sweep = service.submit()
    service.step()
    service.ledger.sweeps.request_action(sweep.id, SweepAction.CANCEL)
    service.step()
    assert service.drivers[0].terminated
    service.drivers[0].end("the driver's process died: killed by SIGTERM")
    service.step()
    assert service.state(sweep) is SweepState.CANCELLED
    assert len(service.drivers) == 1


def test_a_driver_that_still_looks_at_a_new_sweep_ends_that_before_the_sweep_is_paused(service: Service) -> None:
    sweep = service.submit()
    service.step()
    service.ledger.sweeps.request_action(sweep.id, SweepAction.PAUSE)
    service.step()
    terminated = [service.drivers[0].terminated]
    service.ledger.sweeps.move(sweep.id, SweepState.QUEUED)
    service.step()
    terminated.append(service.drivers[0].terminated)
    assert terminated == [False, True]
    service.drivers[0].end("the driver's process died: killed by SIGTERM")
    service.step()
    assert service.state(sweep) is SweepState.PAUSED


@pytest.mark.parametrize("action", [SweepAction.CANCEL, SweepAction.PAUSE])
def test_a_request_survives_the_driver_that_was_to_follow_it(service: Service, action: SweepAction) -> None:
    sweep = service.submit()
    service.step()
    service.ledger.sweeps.move(sweep.id, SweepState.QUEUED)
    service.ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    service.ledger.sweeps.request_action(sweep.id, action)
    service.drivers[0].end("the driver's process died: killed by SIGKILL")
    service.step()
    ended = {SweepAction.CANCEL: SweepState.CANCELLED, SweepAction.PAUSE: SweepState.PAUSED}
    assert service.state(sweep) is ended[action]


def test_a_sweep_that_was_paused_just_before_it_was_to_be_cancelled_need_not_wait_for_its_driver(
    service: Service,
) -> None:
    sweep = service.submit()
    service.step()
    for state in (SweepState.QUEUED, SweepState.RUNNING, SweepState.PAUSING, SweepState.PAUSED):
        service.ledger.sweeps.move(sweep.id, state)
    service.ledger.sweeps.request_action(sweep.id, SweepAction.CANCEL)
    service.step()
    assert service.state(sweep) is SweepState.CANCELLED
    assert not service.drivers[0].ended, "it still tells MLflow"


def test_a_confirmation_that_waits_is_stopped_or_cancelled_at_once_and_its_sweep_is_not_lost(service: Service) -> None:
    ends = {SweepAction.STOP: SweepState.STOPPED, SweepAction.CANCEL: SweepState.COMPLETED}
    for action, state in ends.items():
        sweep = service.submit()
        service.ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        record(service.ledger, running_trial(service.ledger, sweep), row(1, 0.5))
        service.ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
        service.ledger.sweeps.queue_confirmation(sweep.id, {})
        service.ledger.sweeps.request_action(sweep.id, action)
        service.step(problem="no cluster")
        assert service.state(sweep) is state


def test_a_sweep_with_trials_is_stopped_by_its_next_driver(service: Service) -> None:
    sweep = service.submit()
    service.ledger.sweeps.move(sweep.id, SweepState.QUEUED)
    service.ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    record(service.ledger, running_trial(service.ledger, sweep), row(1, 0.5))
    service.ledger.sweeps.request_action(sweep.id, SweepAction.STOP)
    service.step()
    service.step()
    assert service.drivers[0].may_start
    assert service.ledger.sweeps.requested_action(sweep.id) is SweepAction.STOP


def test_deaths_with_progress_between_do_not_add_up(service: Service) -> None:
    sweep = service.submit()
    service.ledger.sweeps.move(sweep.id, SweepState.QUEUED)
    service.ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    trial = running_trial(service.ledger, sweep)
    service.ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED)
    service.ledger.trials.start_attempt(trial.id)
    for epoch in range(1, 2 * MOST_DEATHS):
        service.step(60.0)
        record(service.ledger, service.ledger.trials.get(trial.id), row(epoch, 0.5), attempt=2)
        service.drivers[-1].end("the driver's process died: killed by SIGKILL")
    service.step(60.0)
    assert service.state(sweep) is not SweepState.FAILED


def test_a_sweep_that_was_interrupted_with_its_service_is_queued_again(service: Service) -> None:
    sweep = service.submit()
    service.ledger.sweeps.move(sweep.id, SweepState.QUEUED)
    service.ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    service.step()
    assert service.state(sweep) is SweepState.QUEUED, "no process held its lock"
    service.step()
    assert service.drivers[0].may_start


def test_sweeps_of_the_command_run_are_left_alone(service: Service) -> None:
    sweep = service.ledger.sweeps.create(
        name="cells",
        spec_text="",
        spec_file="",
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=0,
        data={},
        settings={},
    )
    service.ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED)
    service.step()
    service.step(10.0)
    assert service.drivers == []
    assert service.state(sweep) is SweepState.INTERRUPTED


def test_draining_pauses_every_sweep_and_queues_it_for_the_next_service(service: Service) -> None:
    sweep = service.submit()
    service.step()
    service.ledger.sweeps.move(sweep.id, SweepState.QUEUED)
    service.ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    service.supervisor.drain()
    assert service.drivers[0].terminated
    assert not service.supervisor.finish_draining()
    service.ledger.sweeps.move(sweep.id, SweepState.PAUSING)
    service.ledger.sweeps.move(sweep.id, SweepState.PAUSED)
    service.drivers[0].end()
    assert service.supervisor.finish_draining()
    assert service.state(sweep) is SweepState.QUEUED


def test_a_sweep_that_was_refused_and_deleted_is_forgotten(service: Service) -> None:
    sweep = service.submit()
    service.step()
    service.ledger.sweeps.move(sweep.id, SweepState.FAILED, error="its images are gone")
    service.ledger.sweeps.delete(sweep.id)
    service.drivers[0].end()
    service.step()
    assert service.supervisor.driven == []


def test_a_sweep_that_another_service_drives_is_tried_again_later(service: Service) -> None:
    service.submit()
    service.step()
    service.drivers[0].end()
    service.step()
    assert len(service.drivers) == 1
    service.step(60.0)
    assert len(service.drivers) == 2


def test_a_fork_server_that_is_away_is_tried_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.submit()

    def refuse(_sweep_id: str, _may_start: bool) -> Driver:
        raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr(service.supervisor, "_start_driver", refuse)
    service.step()
    monkeypatch.undo()
    service.step(2.0)
    assert len(service.drivers) == 1
