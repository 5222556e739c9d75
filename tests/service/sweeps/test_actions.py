"""Pause, stop and cancel without a terminal, called the way commands and routes call them, with a fake clock."""

from __future__ import annotations

import pytest

from service.errors import SweepNotFoundError, UsageError
from service.ledgers import Ledger, SweepAction, SweepState
from service.sweeps import request_action, wait_until_at_rest
from tests.service.sweeps.sweeps import add_sweep


@pytest.mark.parametrize("action", SweepAction)
def test_a_running_sweep_is_asked_through_the_ledger_and_goes_on_meanwhile(ledger: Ledger, action: SweepAction) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    assert request_action(ledger, sweep.id, action).state is SweepState.RUNNING
    assert ledger.sweeps.requested_action(sweep.id) is action


@pytest.mark.parametrize("state", [SweepState.PAUSED, SweepState.INTERRUPTED])
def test_a_sweep_without_a_driver_can_be_cancelled_at_once_and_nothing_else(ledger: Ledger, state: SweepState) -> None:
    sweep = add_sweep(ledger, state)
    for action in (SweepAction.PAUSE, SweepAction.STOP):
        with pytest.raises(UsageError, match=f"is {state}: there is nothing to {action}"):
            request_action(ledger, sweep.id, action)
    assert request_action(ledger, sweep.id, SweepAction.CANCEL).state is SweepState.CANCELLED


@pytest.mark.parametrize("action", SweepAction)
@pytest.mark.parametrize("state", [SweepState.COMPLETED, SweepState.CANCELLED, SweepState.FAILED])
def test_a_sweep_that_has_ended_refuses_every_action(ledger: Ledger, state: SweepState, action: SweepAction) -> None:
    sweep = add_sweep(ledger, state)
    with pytest.raises(UsageError, match="there is nothing to"):
        request_action(ledger, sweep.id, action)
    assert ledger.sweeps.get(sweep.id).state is state


def test_an_unknown_sweep_is_refused(ledger: Ledger) -> None:
    add_sweep(ledger, SweepState.RUNNING)
    with pytest.raises(SweepNotFoundError):
        request_action(ledger, "another", SweepAction.PAUSE)


def test_waiting_ends_with_the_sweep_or_with_the_patience(ledger: Ledger) -> None:
    sweep, now = add_sweep(ledger, SweepState.RUNNING), [0.0]

    def clock() -> float:
        return now[0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] > 20:
            ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED)

    waited = wait_until_at_rest(ledger.sweeps.get, sweep.id, seconds=10, clock=clock, sleep=sleep)
    assert waited.state is SweepState.RUNNING
    assert now[0] == pytest.approx(10, abs=0.3)
    waited = wait_until_at_rest(ledger.sweeps.get, sweep.id, seconds=60, clock=clock, sleep=sleep)
    assert waited.state is SweepState.INTERRUPTED
    assert now[0] == pytest.approx(20, abs=0.3)
