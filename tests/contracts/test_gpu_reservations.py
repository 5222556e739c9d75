"""GPU seconds reserved for a sweep, over each backend: they outlive the driver and are given back."""

from __future__ import annotations

import pytest

from search_spaces import Goal
from service.errors import StaleAttemptError
from service.ledgers import Ledger, Role, Sweep, SweepState
from service.queues import GpuReservations, LedgerGpuAccount


@pytest.fixture
def sweep(ledger: Ledger) -> Sweep:
    """Return a running sweep of ada, who may use 1000 GPU seconds."""
    ledger.users.create("ada", Role.SUBMITTER, gpu_hours=1000 / 3600)
    sweep, _created = ledger.sweeps.submit(
        name="tiny", spec_text="", spec_file="", metric="m", goal=Goal.MAXIMIZE, seed=0, settings={}, owner="ada"
    )
    return ledger.sweeps.move(sweep.id, SweepState.RUNNING)


def seconds(ledger: Ledger) -> tuple[float, float]:
    """Return ada's GPU seconds: used, reserved."""
    ada = ledger.users.get("ada")
    return ada.gpu_seconds_used, ada.gpu_seconds_reserved


def test_what_a_trial_reserved_is_settled_at_its_report_and_given_back_at_its_end(ledger: Ledger, sweep: Sweep) -> None:
    reservations = GpuReservations(LedgerGpuAccount(ledger, sweep), gpus=1.0)
    assert reservations.reserve("t")
    assert seconds(ledger) == (0, 60)
    assert reservations.settle("t", 50.0)
    assert seconds(ledger) == (50, 75)
    reservations.release("t", 5.0)
    assert seconds(ledger) == (55, 0)


@pytest.mark.parametrize("end", [SweepState.INTERRUPTED, SweepState.FAILED, SweepState.COMPLETED])
def test_what_a_dead_driver_reserved_is_given_back_when_its_sweep_is_no_longer_under_way(
    ledger: Ledger, sweep: Sweep, end: SweepState
) -> None:
    ledger.users.reserve_gpu("ada", 300, sweep_id=sweep.id)
    ledger.users.settle_gpu("ada", 100, 90, sweep_id=sweep.id)
    assert seconds(ledger) == (90, 200)
    ledger.sweeps.move(sweep.id, end)
    assert seconds(ledger) == (90, 0)


def test_cancelling_a_sweep_gives_its_reservation_back_and_leaves_those_of_other_sweeps(
    ledger: Ledger, sweep: Sweep
) -> None:
    ledger.users.reserve_gpu("ada", 300, sweep_id=sweep.id)
    ledger.users.reserve_gpu("ada", 40)
    ledger.sweeps.cancel(sweep.id)
    assert seconds(ledger) == (0, 40)


def test_the_next_driver_begins_without_the_reservation_of_the_one_before(ledger: Ledger, sweep: Sweep) -> None:
    first = ledger.with_lease(ledger.leases.take(sweep.id, holder="first", seconds=0.0))
    assert first.users.reserve_gpu("ada", 900, sweep_id=sweep.id)
    second = ledger.with_lease(ledger.leases.take(sweep.id, holder="second", seconds=30.0))
    assert seconds(ledger) == (0, 0)
    assert second.users.reserve_gpu("ada", 900, sweep_id=sweep.id)
    with pytest.raises(StaleAttemptError):
        first.users.settle_gpu("ada", 900, 10, sweep_id=sweep.id)
    assert seconds(ledger) == (0, 900)


def test_a_late_settlement_takes_nothing_from_other_sweeps(ledger: Ledger, sweep: Sweep) -> None:
    ledger.users.reserve_gpu("ada", 300, sweep_id=sweep.id)
    ledger.users.reserve_gpu("ada", 40)
    ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED)
    ledger.users.settle_gpu("ada", 300, 10, sweep_id=sweep.id)
    assert seconds(ledger) == (10, 40)


def test_a_refused_reservation_leaves_nothing_at_the_sweep(ledger: Ledger, sweep: Sweep) -> None:
    assert not ledger.users.reserve_gpu("ada", 1001, sweep_id=sweep.id)
    assert ledger.users.reserve_gpu("ada", 1000, sweep_id=sweep.id)
    ledger.users.settle_gpu("ada", 5000, 0, sweep_id=sweep.id)
    assert seconds(ledger) == (0, 0)
