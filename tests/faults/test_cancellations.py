"""A sweep is cancelled in every state, and asked for it twice: then nothing is written, and its lanes are free."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import UsageError
from service.identities import Role
from service.ledgers import SweepAction, SweepState, TrialState
from service.sweeps.home_sweeps import HomeSweeps
from tests.running_services import Drivers, sweep_text, until

Record = Callable[[str, object], None]

FINAL_SECONDS = 60.0
SILENT_SECONDS = 2.0
LONG = sweep_text(trials=400, epochs=50)


@pytest.mark.experiment("19 service", runs=3)
@pytest.mark.parametrize("state", ["validating", "running", "paused", "pausing", "stopping", "queued"])
def test_a_sweep_of_a_service_is_cancelled_in_every_state(
    drivers_once: Drivers, turn: int, state: str, record_property: Record
) -> None:
    sweep_id, others = _sweep_in(drivers_once, state)
    sweeps = HomeSweeps(drivers_once.home)
    began = time.monotonic()
    sweeps.act(sweep_id, SweepAction.CANCEL)
    with suppress(UsageError):  # it is cancelled already
        sweeps.act(sweep_id, SweepAction.CANCEL)
    _await_cancelled(drivers_once, sweep_id)
    record_property("recovery", time.monotonic() - began)
    with pytest.raises(UsageError, match="is cancelled: there is nothing to cancel"):
        sweeps.act(sweep_id, SweepAction.CANCEL)
    results = _results(drivers_once, sweep_id)
    until(lambda: drivers_once.driver_of(sweep_id) is None, "its driver did not end", FINAL_SECONDS)
    last_event = _last_event(drivers_once, sweep_id)  # the driver has told of its last phase
    until(lambda: not drivers_once.trainers_of(sweep_id), "its trials did not end", FINAL_SECONDS)
    files = _files(drivers_once, sweep_id)
    assert {trial.state for trial in drivers_once.trials(sweep_id)} <= {TrialState.CANCELLED, TrialState.COMPLETED}
    time.sleep(SILENT_SECONDS)
    assert _results(drivers_once, sweep_id) == results, "the ledger was written after the end"
    assert _last_event(drivers_once, sweep_id) == last_event, "an event came after the end"
    assert _files(drivers_once, sweep_id) == files, "a file was written after the end"
    for other in others:
        sweeps.act(other, SweepAction.CANCEL)
        _await_cancelled(drivers_once, other)
    until(lambda: _busy(drivers_once) == 0, "a lane was not given back", FINAL_SECONDS)


def _await_cancelled(drivers: Drivers, sweep_id: str) -> None:
    """Wait for the end, also of a sweep that was paused just before the request came."""
    until(lambda: drivers.sweep(sweep_id).state is SweepState.CANCELLED, f"{sweep_id} did not end", FINAL_SECONDS)


def _sweep_in(drivers: Drivers, state: str) -> tuple[str, list[str]]:
    """Bring a sweep into a state; return its id, and those of other sweeps that the test needs."""
    if state == "queued":
        with drivers.ledger() as ledger:
            if all(user.name != "carol" for user in ledger.users.list()):
                ledger.users.create("carol", Role.SUBMITTER, max_sweeps=1)
        first = drivers.submit(LONG, "carol")
        drivers.await_epochs(first)
        second = drivers.submit(LONG, "carol")
        until(lambda: drivers.sweep(second).waiting_for, "the second sweep does not wait")
        return second, [first]
    sweep_id = drivers.submit(LONG)
    if state == "validating":
        return sweep_id, []
    drivers.await_epochs(sweep_id)
    if state in ("pausing", "paused"):
        drivers.ask(sweep_id, SweepAction.PAUSE)
    if state == "paused":
        drivers.await_state(sweep_id, SweepState.PAUSED)
    if state == "stopping":
        drivers.ask(sweep_id, SweepAction.STOP)
    return sweep_id, []


def _results(drivers: Drivers, sweep_id: str) -> object:
    """Return everything that training writes; MLflow's sender may still note its runs."""
    with drivers.ledger() as ledger:
        trials = [replace(trial, mlflow_run_id=None) for trial in ledger.trials.list(sweep_id)]
        return trials, ledger.trials.epochs_of_sweep(sweep_id)


def _last_event(drivers: Drivers, sweep_id: str) -> int:
    with drivers.ledger() as ledger:
        return ledger.events.last_id(sweep_id)


def _files(drivers: Drivers, sweep_id: str) -> dict[Path, tuple[int, int]]:
    """Return the size and the time of every file of the sweep."""
    files = [path for path in drivers.home.sweep(sweep_id).rglob("*") if path.is_file()]
    return {path: _facts(path) for path in files}


def _facts(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def _busy(drivers: Drivers) -> int:
    with drivers.ledger() as ledger:
        return sum(service.status["busy"] for service in ledger.services.list(role="drivers"))
