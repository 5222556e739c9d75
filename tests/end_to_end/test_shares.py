"""Users of one service get their first results soon, and equal shares of its lanes."""

from __future__ import annotations

import time
from collections import Counter

from service.clocks import now_ms
from service.ledgers import Event, EventKind, SweepAction, SweepState
from tests.running_services import Drivers, sweep_text, until

LONG = sweep_text(trials=400, epochs=10)
FIRST_SECONDS = 5.0

_ENDS = (EventKind.TRIAL_WAITING, EventKind.TRIAL_ENDED)


def test_the_first_trial_of_each_of_three_sweeps_of_two_users_comes_soon(drivers_once: Drivers, thorough: bool) -> None:
    """Try again on a machine that was too busy; other tests run beside the short form."""
    most = FIRST_SECONDS if thorough else 3 * FIRST_SECONDS
    for tries_left in (2, 1, 0):
        sweep_ids = [drivers_once.submit(LONG, owner) for owner in ("alice", "alice", "bob")]
        for sweep_id in sweep_ids:
            drivers_once.await_epochs(sweep_id)
        seconds = [_seconds_to_first_trial(drivers_once, sweep_id) for sweep_id in sweep_ids]
        end(drivers_once, sweep_ids)
        if max(seconds) < most or not tries_left:
            break
    assert max(seconds) < most, seconds


def test_lanes_are_shared_equally_between_a_user_with_many_sweeps_and_one_with_one(
    drivers_once: Drivers, thorough: bool
) -> None:
    sweeps, seconds = (10, 300.0) if thorough else (4, 6.0)
    owners = {drivers_once.submit(LONG, "alice"): "alice" for _ in range(sweeps)}
    owners[drivers_once.submit(LONG, "bob")] = "bob"
    for sweep_id in owners:
        drivers_once.await_epochs(sweep_id)
    began = now_ms()
    time.sleep(seconds)
    used = Counter[str]()
    for sweep_id, owner in owners.items():
        used[owner] += _lane_ms(drivers_once.events(sweep_id), began, now_ms())
    end(drivers_once, list(owners))
    assert 0.4 <= used["bob"] / used.total() <= 0.6, used


def end(drivers: Drivers, sweep_ids: list[str]) -> None:
    """Cancel sweeps, and wait until their drivers have ended."""
    for sweep_id in sweep_ids:
        drivers.ask(sweep_id, SweepAction.CANCEL)
    for sweep_id in sweep_ids:
        drivers.await_state(sweep_id, SweepState.CANCELLED)
    until(lambda: all(drivers.driver_of(sweep_id) is None for sweep_id in sweep_ids), "a driver did not end")


def _seconds_to_first_trial(drivers: Drivers, sweep_id: str) -> float:
    first = next(event for event in drivers.events(sweep_id) if event.kind is EventKind.TRIAL_STARTED)
    return (first.at - drivers.sweep(sweep_id).created_at) / 1000


def _lane_ms(events: list[Event], began: int, ended: int) -> int:
    """Return the milliseconds between two times in which lanes trained the sweep's trials."""
    since, total = dict[str, int](), 0
    for event in events:
        if event.kind is EventKind.TRIAL_STARTED:
            since[str(event.trial_id)] = event.at
        elif event.kind in _ENDS and str(event.trial_id) in since:
            total += _overlap(since.pop(str(event.trial_id)), event.at, began, ended)
    return total + sum(_overlap(at, ended, began, ended) for at in since.values())


def _overlap(start: int, stop: int, began: int, ended: int) -> int:
    return max(0, min(stop, ended) - max(start, began))
