"""A driver's lease: renewed while the database answers, lost by the clock; a driver without a lease writes nothing.

Tests move the clock; none of them sleeps.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from search_spaces import parse_spec
from service.coordination import Coordinator, Result, new_sweep
from service.errors import LeaseError, StaleAttemptError
from service.file_locks import try_lock
from service.ledgers import EpochRow, Lease, Ledger, SweepState, TrialState
from service.runs.leases import LEASE_SECONDS, LeaseKeeper, driving, mark_interrupted
from service.schedulers import build_scheduler
from service.searchers import build_searcher
from service.settings import Home

SPEC = "name: cells\ndata: {source: digits, image_size: 16}\nspace: {freeze_depth: {values: [all, -1, 0]}}\n"


class Clock:
    """A clock in seconds that a test moves, at once or through `wait`, which a lease keeper calls in place of sleeping.

    `events` maps a time to a function, which is called when the clock reaches the time.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self.events: dict[float, Callable[[], object]] = {}

    def __call__(self) -> float:
        return self.now

    def milliseconds(self) -> int:
        return int(self.now * 1000)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        for at in [at for at in self.events if at <= self.now]:
            self.events.pop(at)()
        return event.is_set()


class Database:
    """The leases of a ledger whose database a test can make fail."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.ledger, self.clock = ledger, clock
        self.leases = self
        self.is_away = False
        self.answers_after = 0.0

    def renew(self, lease: Lease) -> None:
        """Renew the lease, unless the database is away."""
        if self.is_away:
            raise OperationalError("UPDATE", {}, Exception("connection refused"))
        self.ledger.leases.renew(lease)
        self.clock.now += self.answers_after

    def give_up(self, lease: Lease) -> None:
        """Give the lease up, unless the database is away."""
        if self.is_away:
            raise OperationalError("UPDATE", {}, Exception("connection refused"))
        self.ledger.leases.give_up(lease)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    ledger = Ledger.open_file(tmp_path / "ledger.db", clock=clock.milliseconds)
    yield ledger
    ledger.close()


@pytest.fixture
def sweep_id(ledger: Ledger) -> str:
    sweep = new_sweep(parse_spec(SPEC, file="sweep.yaml"), ledger, data={}, settings={})
    return ledger.sweeps.move(sweep.id, SweepState.RUNNING).id


@pytest.fixture
def database(ledger: Ledger, clock: Clock) -> Database:
    return Database(ledger, clock)


@pytest.fixture
def keeper(database: Database, ledger: Ledger, sweep_id: str, clock: Clock) -> LeaseKeeper:
    lease = ledger.leases.take(sweep_id, holder="here", seconds=LEASE_SECONDS)
    store: object = database
    return LeaseKeeper(store, lease, clock=clock, wait=clock.wait)  # type: ignore[arg-type]


def test_a_lease_is_renewed_three_times_in_its_length_for_as_long_as_its_keeper_is_open(
    keeper: LeaseKeeper, ledger: Ledger, sweep_id: str, clock: Clock
) -> None:
    clock.events[1000 + 10 * LEASE_SECONDS] = keeper.close
    keeper.renew_until_closed()
    assert keeper.lost is None
    assert clock.waits == [LEASE_SECONDS / 3] * 30
    assert ledger.leases.holder(sweep_id) is None, "it was given up at the end"


def test_a_lease_keeps_other_drivers_away_while_it_is_renewed(
    keeper: LeaseKeeper, ledger: Ledger, sweep_id: str, clock: Clock
) -> None:
    def try_from_there() -> None:
        with pytest.raises(LeaseError, match="driven by another process, whose lease runs out in 20 s"):
            ledger.leases.take(sweep_id, holder="there", seconds=LEASE_SECONDS)
        keeper.close()

    clock.events[1000 + 10 * LEASE_SECONDS] = try_from_there
    keeper.renew_until_closed()
    ledger.leases.take(sweep_id, holder="there", seconds=LEASE_SECONDS)


def test_a_database_that_is_back_within_the_lease_costs_nothing(
    keeper: LeaseKeeper, database: Database, clock: Clock
) -> None:
    clock.events[1010] = lambda: setattr(database, "is_away", True)
    clock.events[1030] = lambda: setattr(database, "is_away", False)
    clock.events[1200] = keeper.close
    keeper.renew_until_closed()
    assert keeper.lost is None
    assert clock.now == 1200


def test_a_database_that_is_away_for_the_length_of_the_lease_loses_it(
    keeper: LeaseKeeper, database: Database, sweep_id: str, clock: Clock
) -> None:
    clock.events[1050] = lambda: setattr(database, "is_away", True)
    keeper.renew_until_closed()
    assert clock.now == 1040 + LEASE_SECONDS, "last renewed at 1040"
    assert keeper.lost is not None
    assert keeper.lost.startswith(f"the lease on {sweep_id} ran out: OperationalError: ")
    keeper.close()


def test_a_lease_counts_from_the_request_however_long_the_database_takes_to_answer(
    keeper: LeaseKeeper, database: Database, clock: Clock
) -> None:
    database.answers_after = 25.0
    keeper.renew()
    assert clock.now == 1025
    database.is_away = True
    clock.now = 1000 + LEASE_SECONDS - 1
    keeper.renew()
    assert keeper.lost is None
    clock.now = 1000 + LEASE_SECONDS
    keeper.renew()
    assert keeper.lost is not None


def test_a_lease_that_another_driver_has_taken_is_lost_at_the_next_renewal(
    keeper: LeaseKeeper, ledger: Ledger, sweep_id: str, clock: Clock
) -> None:
    clock.now += LEASE_SECONDS + 1
    ledger.leases.take(sweep_id, holder="there", seconds=LEASE_SECONDS)
    keeper.renew_until_closed()
    assert clock.waits == [LEASE_SECONDS / 3]
    assert keeper.lost == f"{sweep_id} is driven in attempt 2; what attempt 1 wrote was refused"
    keeper.close()
    assert ledger.leases.holder(sweep_id) == "there", "the other's lease stands"


def test_a_database_that_is_away_at_the_end_does_not_stop_the_driver_from_ending(
    keeper: LeaseKeeper, database: Database
) -> None:
    database.is_away = True
    keeper.close()


def test_a_driver_whose_lease_is_lost_closes_its_trials_and_writes_nothing(
    keeper: LeaseKeeper, ledger: Ledger, sweep_id: str, clock: Clock
) -> None:
    spec = parse_spec(SPEC, file="sweep.yaml")
    mine = ledger.with_lease(keeper.lease)
    coordinator = Coordinator(
        spec=spec,
        sweep=ledger.sweeps.get(sweep_id),
        ledger=mine,
        searcher=build_searcher(spec),
        scheduler=build_scheduler(spec),
        clock=clock,
    )
    first, second = coordinator.next_trial(), coordinator.next_trial()
    assert first is not None
    assert second is not None
    clock.now += LEASE_SECONDS + 1
    ledger.leases.take(sweep_id, holder="there", seconds=LEASE_SECONDS)
    before = (ledger.trials.list(sweep_id), ledger.sweeps.get(sweep_id))
    row = EpochRow(epoch=1, seconds=1.0, recorded_at=1, readings={"val": {"accuracy": 0.5}})
    with pytest.raises(StaleAttemptError):
        coordinator.record(first.id, Result(rows=(row,), done=False))
    keeper.renew()
    assert keeper.lost is not None
    coordinator.close(keeper.lost)
    assert coordinator.next_trial() is None
    coordinator.leave(keeper.lost)
    with pytest.raises(StaleAttemptError):
        mine.sweeps.move(sweep_id, SweepState.INTERRUPTED)
    assert (ledger.trials.list(sweep_id), ledger.sweeps.get(sweep_id)) == before
    assert ledger.trials.epochs(first.id) == []
    assert {trial.state for trial in ledger.trials.list(sweep_id)} == {TrialState.RUNNING}


def killed_driver(ledger: Ledger, home: Home, sweep_id: str) -> None:
    """Leave the lease and the lock file as a driver that was killed leaves them."""
    ledger.leases.take(sweep_id, holder="dead", seconds=LEASE_SECONDS)
    lock_file = home.sweep(sweep_id) / "driver.lock"
    lock_file.parent.mkdir(parents=True)
    lock_file.write_text("dead")


def test_one_process_drives_a_sweep_and_names_itself_in_the_lock_file(
    ledger: Ledger, sweep_id: str, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    holders = []
    for _ in range(2):
        with driving(home, ledger, sweep_id) as keeper:
            with pytest.raises(LeaseError, match="driven by another process on this machine; to follow it: "):
                driving(home, ledger, sweep_id).__enter__()
            assert mark_interrupted(ledger, home) == []
            assert (home.sweep(sweep_id) / "driver.lock").read_text() == keeper.lease.holder
            holders.append(keeper.lease.holder)
    assert len({*holders, socket.gethostname()}) == 3, "random, and not the machine's name"


def test_a_killed_driver_with_this_home_is_noticed_at_once(ledger: Ledger, sweep_id: str, tmp_path: Path) -> None:
    killed_driver(ledger, Home(tmp_path), sweep_id)
    (interrupted,) = mark_interrupted(ledger, Home(tmp_path))
    assert (interrupted.id, interrupted.state) == (sweep_id, SweepState.INTERRUPTED)
    assert interrupted.error == "the process that drove it ended"


def test_a_killed_driver_with_this_home_is_replaced_at_once(ledger: Ledger, sweep_id: str, tmp_path: Path) -> None:
    killed_driver(ledger, Home(tmp_path), sweep_id)
    with driving(Home(tmp_path), ledger, sweep_id) as keeper:
        assert keeper.lease.attempt == 2


def test_a_killed_driver_with_another_home_is_noticed_after_its_lease(
    ledger: Ledger, sweep_id: str, tmp_path: Path, clock: Clock
) -> None:
    killed_driver(ledger, Home(tmp_path / "theirs"), sweep_id)
    here = Home(tmp_path / "ours")
    clock.now += LEASE_SECONDS - 1
    assert mark_interrupted(ledger, here) == []
    with pytest.raises(LeaseError, match="by another process, whose lease runs out in 1 s"):
        driving(here, ledger, sweep_id).__enter__()
    clock.now += 1
    assert [sweep.id for sweep in mark_interrupted(ledger, here)] == [sweep_id]


def test_a_lock_file_of_an_earlier_driver_says_nothing_of_a_driver_with_another_home(
    ledger: Ledger, sweep_id: str, tmp_path: Path, clock: Clock
) -> None:
    here, there = Home(tmp_path / "ours"), Home(tmp_path / "theirs")
    with driving(here, ledger, sweep_id):
        pass
    with driving(there, ledger, sweep_id):
        assert mark_interrupted(ledger, here) == []
        with pytest.raises(LeaseError):
            driving(here, ledger, sweep_id).__enter__()


def test_a_look_at_sweeps_of_another_home_leaves_no_folders(ledger: Ledger, sweep_id: str, tmp_path: Path) -> None:
    with driving(Home(tmp_path / "theirs"), ledger, sweep_id):
        mark_interrupted(ledger, Home(tmp_path / "ours"))
    assert not (tmp_path / "ours").exists()


def test_a_driver_waits_for_a_process_that_only_looks_if_the_lock_is_free(
    ledger: Ledger, sweep_id: str, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    looking = threading.Event()

    def look() -> None:
        with try_lock(home.sweep(sweep_id) / "driver.lock"):
            looking.set()
            time.sleep(0.01)

    thread = threading.Thread(target=look)
    thread.start()
    looking.wait()
    with driving(home, ledger, sweep_id) as keeper:
        assert keeper.lost is None
    thread.join()
