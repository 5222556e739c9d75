"""Parts of a service that are killed are replaced, and its sweeps go on by themselves as if nothing had happened."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from service.ledgers import Cause, Trial
from tests.running_services import Board, Drivers, attempts, sweep_text, until

Record = Callable[[str, object], None]

TRIALS, EPOCHS = 4, 10
RETURN_SECONDS = 120.0


def drawn() -> random.Random:
    """Return a source of random moments, other ones in each run."""
    return random.Random(os.urandom(8))


@pytest.fixture(scope="module")
def calm(drivers_once: Drivers) -> Board:
    """The trials of the sweep without a fault."""
    sweep_id = drivers_once.submit(sweep_text(trials=TRIALS, epochs=EPOCHS))
    drivers_once.await_completed([sweep_id])
    assert drivers_once.check_rows(sweep_id) == (0, 0)
    return drivers_once.board(sweep_id)


def check_like(drivers: Drivers, sweep_id: str, calm: Board, record: Record) -> None:
    """Wait for the sweep's end; check that its trials are those without a fault, in the ledger and in MLflow."""
    drivers.await_completed([sweep_id])
    assert drivers.board(sweep_id) == calm
    lost, doubled = drivers.check_rows(sweep_id)
    record("lost", lost)
    record("doubled", doubled)
    assert (lost, doubled) == (0, 0)


def check_no_failures(drivers: Drivers, sweep_id: str) -> None:
    """Check that no trial used up a retry."""
    with drivers.ledger() as ledger:
        failures = {
            (trial.number, cause): ledger.trials.count_failures(trial.id, cause)
            for trial in ledger.trials.list(sweep_id)
            for cause in Cause
        }
    assert not any(failures.values()), failures


def check_goes_on_from_newest(trial: Trial) -> None:
    """Check that the newest checkpoint has every epoch that was reported, so that none is trained again."""
    if trial.epochs and not trial.state.is_finished:
        assert trial.latest is not None
        assert Path(trial.latest).name.startswith(f"epoch-{trial.epochs:06d}-")
        assert Path(trial.latest).exists()


def kill_driver(drivers: Drivers, sweep_id: str) -> None:
    """Kill the driver of a sweep that has just trained."""
    driver = drivers.driver_of(sweep_id)
    assert driver is not None
    driver.kill()
    until(lambda: not driver.is_running() or driver.status() == psutil.STATUS_ZOMBIE, "the driver lives")


@pytest.mark.experiment("2 service", runs=20)
def test_a_driver_of_a_service_that_is_killed_is_replaced(
    drivers_once: Drivers, calm: Board, turn: int, record_property: Record
) -> None:
    sweep_id = drivers_once.submit(sweep_text(trials=TRIALS, epochs=EPOCHS))
    drivers_once.await_epochs(sweep_id, drawn().randrange(1, TRIALS * EPOCHS * 3 // 4))
    kill_driver(drivers_once, sweep_id)
    killed_at, before = time.monotonic(), drivers_once.trials(sweep_id)
    for trial in before:
        check_goes_on_from_newest(trial)
    begun = attempts(drivers_once.events(sweep_id)).total()
    until(lambda: attempts(drivers_once.events(sweep_id)).total() > begun, "the sweep did not go on")
    record_property("recovery", time.monotonic() - killed_at)
    check_like(drivers_once, sweep_id, calm, record_property)
    after = {trial.id: trial for trial in drivers_once.trials(sweep_id)}
    for trial in before:
        assert after[trial.id].attempt == trial.attempt + (not trial.state.is_finished)
    check_no_failures(drivers_once, sweep_id)
    assert drivers_once.sweep(sweep_id).restarts == 1


@pytest.mark.experiment(3, runs=3)
@pytest.mark.parametrize("part", [pytest.param("pool", marks=pytest.mark.thorough), "head"])
def test_a_service_goes_on_by_itself_if_its_pool_or_rays_head_is_killed(
    drivers_once: Drivers, calm: Board, turn: int, part: str, record_property: Record
) -> None:
    sweep_id = drivers_once.submit(sweep_text(trials=TRIALS, epochs=EPOCHS))
    drivers_once.await_epochs(sweep_id, drawn().randrange(1, TRIALS * EPOCHS // 2))
    names = ["sweep:lanes"] if part == "pool" else ["gcs_server", "raylet"]
    victims = [process for name in names for process in drivers_once.named(name)]
    assert len(victims) == len(names)
    for victim in victims:
        victim.kill()
    killed_at = time.monotonic()
    begun = attempts(drivers_once.events(sweep_id)).total()
    until(lambda: attempts(drivers_once.events(sweep_id)).total() > begun, "the sweep did not go on", RETURN_SECONDS)
    record_property("recovery", time.monotonic() - killed_at)
    check_like(drivers_once, sweep_id, calm, record_property)
    check_no_failures(drivers_once, sweep_id)
    assert drivers_once.sweep(sweep_id).restarts == 0, "the driver lived on"
