"""A service that ends, by SIGTERM or kill -9, goes on with its sweeps when it starts again; two never drive one."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.ledgers import Cause, EventKind, SweepState, Trial
from service.settings import Home
from tests.databases import MakePostgresql
from tests.running_services import Board, Drivers, attempts, sweep_text, until

Record = Callable[[str, object], None]

NOTICE_SECONDS = 30.0
READY_SECONDS = 240.0
"""Time to load everything and start Ray on a machine that others use at the same time; no promise."""
TRIALS, EPOCHS = 3, 10
TEXT = sweep_text(trials=TRIALS, epochs=EPOCHS)


def drawn() -> random.Random:
    """Return a source of random moments, other ones in each run."""
    return random.Random(os.urandom(8))


@pytest.fixture(scope="module")
def calm(drivers_once: Drivers) -> Board:
    """The trials of the sweep without a fault."""
    sweep_id = drivers_once.submit(TEXT)
    drivers_once.await_completed([sweep_id])
    return drivers_once.board(sweep_id)


def check_all(drivers: Drivers, sweep_ids: list[str], calm: Board, record: Record, *, seconds: float = 300.0) -> None:
    """Wait for the ends of the sweeps; check that ledger and MLflow have what they have without a fault."""
    drivers.await_completed(sweep_ids, seconds=seconds)
    lost = doubled = 0
    for sweep_id in sweep_ids:
        assert drivers.board(sweep_id) == calm
        rows = drivers.check_rows(sweep_id)
        lost, doubled = lost + rows[0], doubled + rows[1]
    record("lost", lost)
    record("doubled", doubled)
    assert (lost, doubled) == (0, 0)


def check_at_rest(drivers: Drivers, sweep_id: str) -> None:
    """Check that a sweep waits for the next service, each trial with a checkpoint of its last epoch."""
    sweep = drivers.sweep(sweep_id)
    assert sweep.state in (SweepState.QUEUED, SweepState.COMPLETED), sweep
    assert sweep.restarts == 0, "an end in order is no failure"
    with drivers.ledger() as ledger:
        trials = ledger.trials.list(sweep_id)
        failures = [ledger.trials.count_failures(trial.id, cause) for trial in trials for cause in Cause]
    assert not any(failures)
    for trial in trials:
        assert trial.state.is_finished or _has_newest_checkpoint(trial), trial


def _has_newest_checkpoint(trial: Trial) -> bool:
    if not trial.epochs:
        return True
    newest = Path(trial.latest or "")
    return newest.name.startswith(f"epoch-{trial.epochs:06d}-") and newest.exists()


@pytest.mark.experiment("20 service")
def test_a_service_that_gets_sigterm_saves_checkpoints_and_goes_on_at_its_next_start(
    drivers_once: Drivers, calm: Board, turn: int, thorough: bool, record_property: Record
) -> None:
    rounds, recoveries = 10 if thorough else 1, list[float]()
    for _ in range(rounds):
        sweep_ids = [drivers_once.submit(TEXT, owner) for owner in ("alice", "bob")]
        for sweep_id in sweep_ids:
            drivers_once.await_epochs(sweep_id)
        time.sleep(drawn().uniform(0.0, 1.0))
        assert drivers_once.terminate() < NOTICE_SECONDS
        assert drivers_once.process.returncode == 0
        for sweep_id in sweep_ids:
            check_at_rest(drivers_once, sweep_id)
        drivers_once.start()
        began = time.monotonic()
        drivers_once.await_ready(READY_SECONDS)
        recoveries.append(time.monotonic() - began)
        check_all(drivers_once, sweep_ids, calm, record_property)
    record_property("recovery", max(recoveries))
    record_property("kills", rounds)


@pytest.mark.experiment("1 service")
def test_a_service_that_is_killed_leaves_its_sweeps_to_another_on_the_same_ledger(
    drivers_once: Drivers, calm: Board, turn: int, record_property: Record
) -> None:
    """Let two services share the sweeps at first."""
    other = drivers_once.beside()
    try:
        other.start()
        other.await_ready(READY_SECONDS)
        sweep_ids = [drivers_once.submit(TEXT) for _ in range(2)]
        for sweep_id in sweep_ids:
            drivers_once.await_epochs(sweep_id)
        check_driven_once(drivers_once, sweep_ids)
        sweep_ids.append(drivers_once.submit(TEXT))
        drivers_once.kill()
    except BaseException:
        other.close()
        raise
    drivers_once.become(other)
    began, begun = time.monotonic(), _begun(drivers_once, sweep_ids)
    until(lambda: _begun(drivers_once, sweep_ids) > begun, "no trial went on")
    record_property("recovery", time.monotonic() - began)
    check_all(drivers_once, sweep_ids, calm, record_property)


def _begun(drivers: Drivers, sweep_ids: list[str]) -> int:
    return sum(attempts(drivers.events(sweep_id)).total() for sweep_id in sweep_ids)


def check_driven_once(drivers: Drivers, sweep_ids: list[str]) -> None:
    """Check that one driver began each sweep, and began a trial again only after the trial had given up its lane."""
    for sweep_id in sweep_ids:
        events = drivers.events(sweep_id)
        states = [event.payload["state"] for event in events if event.kind is EventKind.SWEEP_STATE]
        assert states.count("running") == 1
        waits = Counter(str(event.trial_id) for event in events if event.kind is EventKind.TRIAL_WAITING)
        for trial_id, begun in attempts(events).items():
            assert begun <= 1 + waits[trial_id], events


@pytest.fixture(params=["sqlite", "postgresql"])
def own_drivers(request: pytest.FixtureRequest, drivers_once: Drivers, tmp_path: Path) -> Iterator[Drivers]:
    """The drivers of another service, on a ledger of each kind; not started."""
    url = None
    if request.param == "postgresql":
        make: MakePostgresql = request.getfixturevalue("new_postgresql")
        url = make()
    drivers = Drivers(Home(tmp_path / "home").create(), drivers_once.folder, url)
    yield drivers
    drivers.close()


@pytest.mark.thorough
@pytest.mark.experiment("1 service")
def test_a_service_killed_at_random_points_of_submission_completes_every_sweep(
    own_drivers: Drivers, calm: Board, turn: int, record_property: Record
) -> None:
    """Kill it while it submits and drives, and in about half of the rounds also while it is still starting."""
    rounds, sweep_ids, recoveries, moments = 20, list[str](), list[float](), drawn()
    own_drivers.start()
    own_drivers.await_ready(READY_SECONDS)
    for number in range(rounds):
        kill_at = time.monotonic() + moments.uniform(0.0, 6.0)
        while time.monotonic() < kill_at and len(sweep_ids) < 2 * (number + 1):
            sweep_ids.append(own_drivers.submit(TEXT, moments.choice(["alice", "bob"])))
            time.sleep(moments.uniform(0.0, 2.0))
        own_drivers.kill()
        own_drivers.start()
        began = time.monotonic()
        if moments.random() < 0.5 or number == rounds - 1:
            own_drivers.await_ready(READY_SECONDS)
            recoveries.append(time.monotonic() - began)
    record_property("sweeps", len(sweep_ids))
    record_property("recovery", max(recoveries))
    record_property("kills", rounds)
    check_all(own_drivers, sweep_ids, calm, record_property, seconds=3600.0)


@pytest.mark.thorough
@pytest.mark.experiment("1 service")
def test_a_service_of_another_home_on_the_same_ledger_takes_over_once_the_leases_have_run_out(
    own_drivers: Drivers, calm: Board, turn: int, tmp_path: Path, record_property: Record
) -> None:
    own_drivers.url = own_drivers.url or f"sqlite:///{own_drivers.home.ledger}"
    own_drivers.variables["MLFLOW_TRACKING_URI"] = own_drivers.home.local_tracking_uri
    other = own_drivers.beside(Home(tmp_path / "other").create())
    try:
        for drivers in (own_drivers, other):
            drivers.start()
        for drivers in (own_drivers, other):
            drivers.await_ready(READY_SECONDS)
        sweep_ids = [own_drivers.submit(TEXT) for _ in range(6)]
        for sweep_id in sweep_ids:
            own_drivers.await_epochs(sweep_id)
        check_driven_once(own_drivers, sweep_ids)
        other.kill()
        began = time.monotonic()
        check_all(own_drivers, sweep_ids, calm, record_property)
        record_property("recovery", time.monotonic() - began)
    finally:
        other.close()
