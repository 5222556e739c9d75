"""The queue as the ledger has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from search_spaces import Goal
from service.ledgers import Ledger, Role, ServiceProcess, Sweep, SweepState
from service.queues import Limits, Obstacle, Submission, Waiting, find_limits, find_problem, order_sweeps


class Clock:
    """A clock that moves on by a second at each look."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1000
        return self.now


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open_file(tmp_path / "ledger.db", clock=Clock())) as opened:
        for name in ("alice", "bob"):
            opened.users.create(name, Role.SUBMITTER)
        yield opened


def own_sweep(ledger: Ledger) -> Sweep:
    """Return a sweep of `meltpoint run`."""
    return ledger.sweeps.create(
        name="own", spec_text="", spec_file="", metric="m", goal=Goal.MAXIMIZE, seed=0, data={}, settings={}
    )


def submit(ledger: Ledger, owner: str, *states: SweepState, priority: int = 0) -> Sweep:
    sweep, _created = ledger.sweeps.submit(
        name="tiny",
        spec_text="",
        spec_file="tiny.yaml",
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=0,
        settings={},
        owner=owner,
        priority=priority,
    )
    for state in states:
        sweep = ledger.sweeps.move(sweep.id, state)
    return sweep


def read(ledger: Ledger, limits: Limits | None = None) -> list[Waiting]:
    """Return the queue under a service that is ready."""
    status = {"state": "ready", "limits": vars(limits or Limits())}
    drivers = ServiceProcess(id="d", role="drivers", host="h", version="1", started_at=0, status=status)
    return order_sweeps(ledger.sweeps.list(), ledger.users.list(), [drivers])


def test_submitted_sweeps_are_in_the_queue_and_those_of_run_are_not(ledger: Ledger) -> None:
    ledger.sweeps.move(own_sweep(ledger).id, SweepState.RUNNING)
    first = submit(ledger, "bob", SweepState.QUEUED)
    assert [(entry.sweep_id, entry.reason) for entry in read(ledger, Limits(max_active_sweeps=1))] == [(first.id, None)]
    submit(ledger, "alice", SweepState.QUEUED, SweepState.RUNNING)
    later = submit(ledger, "alice", SweepState.QUEUED)
    checked = submit(ledger, "bob")
    submit(ledger, "bob", SweepState.QUEUED, SweepState.CANCELLED)
    waiting = read(ledger, Limits(max_active_sweeps=1))
    assert [entry.sweep_id for entry in waiting] == [first.id, later.id, checked.id]
    assert {entry.obstacle for entry in waiting} == {Obstacle.PLACE}


def test_limits_of_users_come_from_the_ledger(ledger: Ledger) -> None:
    ledger.users.change("alice", max_sweeps=1)
    submit(ledger, "alice", SweepState.QUEUED, SweepState.RUNNING)
    submit(ledger, "alice", SweepState.QUEUED)
    (entry,) = read(ledger)
    assert entry.reason == "waits for alice: 1 of 1 sweeps of this user are under way"


def test_a_sweep_that_lost_its_driver_keeps_its_place(ledger: Ledger) -> None:
    began = submit(ledger, "alice", SweepState.QUEUED, SweepState.RUNNING)
    waiting = submit(ledger, "alice", SweepState.QUEUED)
    for state in (SweepState.INTERRUPTED, SweepState.QUEUED):
        ledger.sweeps.move(began.id, state)
    assert [entry.sweep_id for entry in read(ledger)] == [began.id, waiting.id]


def test_without_drivers_every_sweep_waits_for_them(ledger: Ledger) -> None:
    submit(ledger, "alice", SweepState.QUEUED)
    (entry,) = order_sweeps(ledger.sweeps.list(), ledger.users.list(), [])
    assert entry.obstacle is Obstacle.SERVICE


def test_a_sweep_that_never_began_has_its_place_from_when_it_was_queued(ledger: Ledger) -> None:
    sweep = submit(ledger, "alice", SweepState.QUEUED)
    assert Submission.from_sweep(sweep).queued_at == sweep.queued_at


def process(state: str, problem: str | None = None, **more: object) -> ServiceProcess:
    status = {"state": state, "problem": problem} | more
    return ServiceProcess(id=state, role="drivers", host="h", version="1", started_at=0, status=status)


def test_the_problem_is_that_of_the_service_and_none_if_any_process_is_ready() -> None:
    hint = "its admin starts one with: meltpoint serve --role drivers"
    assert find_problem([]) == f"no process drives sweeps of this ledger; {hint}"
    assert find_problem([process("starting")]) == "the service is starting"
    failed = process("failed", "no cluster: the Ray token is wrong")
    assert find_problem([failed]) == "the service cannot run sweeps: no cluster: the Ray token is wrong"
    assert find_problem([failed, process("ready")]) is None


def test_the_limits_are_those_that_the_drivers_write() -> None:
    assert find_limits([]) == find_limits([process("ready")]) == Limits()
    few, many = (process("ready", limits={"max_active_sweeps": number}) for number in (2, 40))
    assert find_limits([few, many]) == Limits(max_active_sweeps=40)
    newer = process("ready", limits={"max_active_sweeps": 3, "max_waiting": 7, "max_lanes": 5})
    assert find_limits([newer]) == Limits(max_active_sweeps=3, max_waiting=7)
