"""Reservations of GPU hours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.queues import GpuReservations
from service.queues.gpu_hours import FIRST_STRETCH


class Account:
    """An account in memory with the rules of the ledger's."""

    def __init__(self, limit: float) -> None:
        self.limit, self.used, self.reserved = limit, 0.0, 0.0

    def reserve(self, seconds: float) -> bool:
        if self.used + self.reserved + seconds > self.limit + 1e-6:
            return False
        self.reserved += seconds
        return True

    def settle(self, reserved: float, used: float) -> None:
        self.reserved -= reserved
        self.used += used

    def describe(self) -> str:
        return f"{self.used:g} of {self.limit:g} s are used"


def test_a_trial_without_a_gpu_reserves_nothing() -> None:
    account = Account(limit=0.0)
    reservations = GpuReservations(account, gpus=0.0)
    assert reservations.reserve("t")
    assert reservations.settle("t", 100.0)
    reservations.release("t", 100.0)
    assert (account.used, account.reserved) == (0.0, 0.0)


def test_a_stretch_is_reserved_before_it_is_spent_and_settled_at_the_report() -> None:
    account = Account(limit=3600.0)
    reservations = GpuReservations(account, gpus=0.5)
    assert reservations.reserve("t")
    assert account.reserved == FIRST_STRETCH * 0.5
    assert reservations.settle("t", 20.0)
    assert account.used == 10.0
    assert account.reserved == 20.0 * 1.5 * 0.5
    reservations.release("t", 4.0)
    assert account.used == 12.0
    assert account.reserved == pytest.approx(0.0)


def test_two_trials_may_not_spend_the_same_seconds() -> None:
    reservations = GpuReservations(Account(limit=FIRST_STRETCH + 5), gpus=1.0)
    assert reservations.reserve("t")
    assert not reservations.reserve("u")


def test_the_last_seconds_are_used_in_a_short_stretch() -> None:
    account = Account(limit=15.0)
    reservations = GpuReservations(account, gpus=1.0)
    assert reservations.reserve("t")
    assert account.reserved == 10.0
    assert not reservations.settle("t", 10.0)
    assert account.used == 10.0
    assert account.reserved == 0.0


def test_the_last_stretch_is_as_long_as_the_longest_so_far() -> None:
    account = Account(limit=70.0)
    reservations = GpuReservations(account, gpus=1.0)
    assert reservations.reserve("t")
    assert reservations.settle("t", 30.0), "30 s without headroom"
    assert account.reserved == 30.0
    assert not reservations.settle("t", 30.0)
    assert (account.used, account.reserved) == (60.0, 0.0)


def test_a_trial_that_trained_longer_than_reserved_is_charged_in_full() -> None:
    account = Account(limit=100.0)
    reservations = GpuReservations(account, gpus=1.0)
    assert reservations.reserve("t")
    assert not reservations.settle("t", 130.0)
    assert account.used == 130.0


@given(
    gpus=st.sampled_from([0.25, 0.5, 1.0, 2.0]),
    limit=st.floats(10, 5000),
    lanes=st.integers(1, 4),
    stretches=st.lists(st.floats(0.1, 30), min_size=1, max_size=200),
)
def test_the_limit_is_passed_by_at_most_what_was_not_reserved(
    gpus: float, limit: float, lanes: int, stretches: list[float]
) -> None:
    """No stretch is longer than 30 s, and a first one reserves 10 s or more."""
    account = Account(limit)
    reservations = GpuReservations(account, gpus=gpus)
    training = {f"t{lane}" for lane in range(lanes) if reservations.reserve(f"t{lane}")}
    for number, seconds in enumerate(stretches):
        trial = f"t{number % lanes}"
        if trial in training and not reservations.settle(trial, seconds):
            training.remove(trial)
    for trial in training:
        reservations.release(trial, 0.0)
    assert account.reserved == pytest.approx(0.0, abs=1e-6)
    assert account.used <= limit + lanes * gpus * (30 - 10) + 1e-6
