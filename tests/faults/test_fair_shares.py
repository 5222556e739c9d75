"""Two users share a service: each sweep begins soon, and both users get about half of the slots' time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from service.clocks import now_ms
from service.ledgers import Event, EventKind, SweepAction, SweepState
from tests.running_services import Drivers, sweep_text, until

Record = Callable[[str, object], None]

LONG = sweep_text(trials=2000, epochs=20)
ENDS = (EventKind.TRIAL_WAITING, EventKind.TRIAL_ENDED)


@pytest.mark.experiment(25, runs=10)
def test_the_first_trial_of_each_of_three_sweeps_begins_soon(
    drivers_once: Drivers, turn: int, thorough: bool, record_property: Record
) -> None:
    """Allow the short form more time, since other tests run beside it."""
    most = 5.0 if thorough else 60.0
    began = now_ms()
    with _submitted(drivers_once, ["alice", "alice", "bob"]) as sweeps:
        until(lambda: all(_starts(drivers_once.events(sweep_id)) for sweep_id in sweeps), "a sweep did not begin", most)
        seconds = [(_starts(drivers_once.events(sweep_id))[0] - began) / 1000 for sweep_id in sweeps]
    record_property("recovery", max(seconds))
    assert max(seconds) < most


@pytest.mark.thorough  # tests/end_to_end/test_shares.py has a shorter form
@pytest.mark.experiment(26)
def test_two_users_share_the_slots_whatever_the_number_of_their_sweeps(
    drivers_once: Drivers, turn: int, thorough: bool, record_property: Record
) -> None:
    seconds, least = (300.0, 0.4) if thorough else (40.0, 0.2)
    began = now_ms()
    with _submitted(drivers_once, [*["alice"] * 10, "bob"]) as sweeps:
        time.sleep(seconds)
        ended = now_ms()
        used = dict.fromkeys(("alice", "bob"), 0)
        for sweep_id, owner in sweeps.items():
            used[owner] += _slot_milliseconds(drivers_once.events(sweep_id), began, ended)
    share = used["bob"] / sum(used.values())
    record_property("share", share)
    record_property("slot_seconds", sum(used.values()) / 1000)
    assert least < share < 1.0 - least


@contextmanager
def _submitted(drivers: Drivers, owners: Sequence[str]) -> Iterator[dict[str, str]]:
    """Submit a long sweep for each owner; yield the owner of each sweep; cancel all at the end."""
    sweeps = {drivers.submit(LONG, owner): owner for owner in owners}
    try:
        yield sweeps
    finally:
        for sweep_id in sweeps:
            drivers.ask(sweep_id, SweepAction.CANCEL)
        for sweep_id in sweeps:
            drivers.await_state(sweep_id, SweepState.CANCELLED)
        until(lambda: all(drivers.driver_of(sweep_id) is None for sweep_id in sweeps), "a driver did not end")


def _starts(events: Sequence[Event]) -> list[int]:
    return [event.at for event in events if event.kind is EventKind.TRIAL_STARTED]


def _slot_milliseconds(events: Sequence[Event], began: int, ended: int) -> int:
    """Return how long the trials of a sweep had a slot between two times, by the starts and ends of their attempts."""
    total, starts = 0, dict[str, int]()
    for event in events:
        trial_id = str(event.trial_id)
        if event.kind is EventKind.TRIAL_STARTED:
            starts[trial_id] = max(event.at, began)
        elif event.kind in ENDS and trial_id in starts:
            total += max(0, min(event.at, ended) - starts.pop(trial_id))
    return total + sum(max(0, ended - start) for start in starts.values())
