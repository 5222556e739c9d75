"""Events are written with what they tell of, rise in the order of commits, and are missed by no reader."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from search_spaces import Goal
from service.errors import StaleAttemptError, TransitionError
from service.ledgers import Cause, Ending, Event, EventKind, Ledger, SweepState, TrialState
from tests.contracts.ledgers import Ticks, new_sweep, record, row, running_trial

WRITER = """
import sys
from service.ledgers import EventKind, Ledger
ledger = Ledger(sys.argv[1], clock=int)
for number in range(int(sys.argv[4])):
    ledger.events.add(sys.argv[2], EventKind.NOTICE, {"text": f"{sys.argv[3]}-{number}"})
ledger.close()
"""


def told_events(ledger: Ledger, sweep_id: str, after: int = 0) -> list[tuple[str | None, EventKind, dict[str, object]]]:
    """Return who, which kind and what of the sweep's events after an id."""
    return [(event.trial_id, event.kind, event.payload) for event in ledger.events.after(sweep_id, after)]


def test_a_whole_sweep_is_told_in_order(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    for state in (SweepState.QUEUED, SweepState.RUNNING):
        ledger.sweeps.move(sweep.id, state)
    first = ledger.trials.create(sweep.id, number=0, point={}, recipe={}, identity="i", seed=0, started=True)
    record(ledger, first, row(1, 0.5), row(2, 0.4))
    ledger.trials.retry(first.id, attempt=1, cause=Cause.DIED, error="killed")
    again = ledger.trials.start_attempt(first.id)
    ledger.trials.record_epochs(
        first.id,
        attempt=again.attempt,
        rows=[row(2, 0.4), row(3, 0.6)],
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        ending=Ending(state=TrialState.COMPLETED),
    )
    ledger.sweeps.note(sweep.id, registered={"uri": "models:/cells@candidate", "version": "1"})
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED, error="budget.wall of 60 s is spent")
    assert told_events(ledger, sweep.id) == [
        (None, EventKind.SWEEP_STATE, {"state": "validating", "error": None}),
        (None, EventKind.SWEEP_STATE, {"state": "queued", "error": None}),
        (None, EventKind.SWEEP_STATE, {"state": "running", "error": None}),
        (first.id, EventKind.TRIAL_STARTED, {"number": 0, "attempt": 1}),
        (first.id, EventKind.TRIAL_REPORTED, {"epochs": 1, "value": 0.5, "best_value": 0.5}),
        (first.id, EventKind.TRIAL_REPORTED, {"epochs": 2, "value": 0.4, "best_value": 0.5}),
        (first.id, EventKind.BEST, {"trial_id": first.id, "value": 0.5}),
        (first.id, EventKind.TRIAL_WAITING, {"state": "retrying", "error": "killed"}),
        (first.id, EventKind.TRIAL_STARTED, {"number": 0, "attempt": 2}),
        (first.id, EventKind.TRIAL_REPORTED, {"epochs": 3, "value": 0.6, "best_value": 0.6}),
        (first.id, EventKind.BEST, {"trial_id": first.id, "value": 0.6}),
        (first.id, EventKind.TRIAL_ENDED, {"state": "completed", "error": None, "best_value": 0.6}),
        (None, EventKind.REGISTERED, {"uri": "models:/cells@candidate", "version": "1"}),
        (None, EventKind.SWEEP_STATE, {"state": "completed", "error": "budget.wall of 60 s is spent"}),
    ]
    assert ledger.events.last_id(sweep.id) == ledger.events.after(sweep.id, 0)[-1].id


def test_each_of_the_epochs_reported_together_has_its_event_with_the_state_after_it(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    trial = running_trial(ledger, sweep)
    after = ledger.trials.record_epochs(
        trial.id,
        attempt=1,
        rows=[row(1, 0.5), row(2, math.nan), row(3, 0.7), row(4, 0.6)],
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        breaks=lambda best: "val/latency" if best.epoch == 1 else None,
    )
    payloads = [payload for _, kind, payload in told_events(ledger, sweep.id) if kind is EventKind.TRIAL_REPORTED]
    assert payloads == [
        {"epochs": 1, "value": 0.5, "best_value": 0.5, "breaks": "val/latency"},
        {"epochs": 2, "value": None, "best_value": 0.5, "breaks": "val/latency"},
        {"epochs": 3, "value": 0.7, "best_value": 0.7},
        {"epochs": 4, "value": 0.6, "best_value": 0.7},
    ]
    assert (after.epochs, after.best_epoch, after.best_value, after.breaks) == (4, 3, 0.7, None)


@pytest.mark.parametrize(
    ("goal", "values", "best"), [("maximize", (0.5, 0.4, 0.7), (0.5, 0.7)), ("minimize", (0.5, 0.6, 0.1), (0.5, 0.1))]
)
def test_only_a_value_better_than_those_of_all_trials_is_told_as_best(
    ledger: Ledger, goal: str, values: tuple[float, ...], best: tuple[float, ...]
) -> None:
    sweep = new_sweep(ledger)
    for number, value in enumerate(values):
        trial = running_trial(ledger, sweep, number)
        ledger.trials.record_epochs(trial.id, attempt=1, rows=[row(1, value)], metric="val/accuracy", goal=Goal(goal))
    assert [payload["value"] for _, kind, payload in told_events(ledger, sweep.id) if kind is EventKind.BEST] == list(
        best
    )


def test_the_value_of_a_trial_that_failed_is_not_the_best(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    failed, other = running_trial(ledger, sweep, 0), running_trial(ledger, sweep, 1)
    ledger.trials.record_epochs(
        failed.id,
        attempt=1,
        rows=[row(1, 0.9)],
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        ending=Ending(state=TrialState.FAILED, error="the loss is nan"),
    )
    record(ledger, other, row(1, 0.5))
    best = [payload for _, kind, payload in told_events(ledger, sweep.id) if kind is EventKind.BEST]
    assert best == [{"trial_id": other.id, "value": 0.5}]


def test_a_value_that_is_not_a_number_is_told_as_null(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    record(ledger, running_trial(ledger, sweep), row(1, math.nan))
    (payload,) = [payload for _, kind, payload in told_events(ledger, sweep.id) if kind is EventKind.TRIAL_REPORTED]
    assert payload == {"epochs": 1, "value": None, "best_value": None}


def test_epochs_that_were_recorded_already_are_not_told_again(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    trial = running_trial(ledger, sweep)
    record(ledger, trial, row(1, 0.5))
    before = ledger.events.last_id(sweep.id)
    record(ledger, trial, row(1, 0.5))
    assert ledger.events.after(sweep.id, before) == []


def test_an_interruption_and_a_cancel_tell_of_every_trial_that_they_end(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    running, done, new = (running_trial(ledger, sweep, number) for number in range(3))
    ledger.trials.finish(done.id, attempt=1, ending=Ending(state=TrialState.COMPLETED))
    record(ledger, running, row(1, 0.1 + 0.2))
    before = ledger.events.last_id(sweep.id)
    ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED, error='it\'s gone: "äh" \\')
    assert told_events(ledger, sweep.id, before) == [
        *((t.id, EventKind.TRIAL_WAITING, {"state": "paused", "error": 'it\'s gone: "äh" \\'}) for t in (running, new)),
        (None, EventKind.SWEEP_STATE, {"state": "interrupted", "error": 'it\'s gone: "äh" \\'}),
    ]
    before, reason = ledger.events.last_id(sweep.id), "cancelled by `meltpoint cancel`"
    ledger.sweeps.cancel(sweep.id)
    assert told_events(ledger, sweep.id, before) == [
        (running.id, EventKind.TRIAL_ENDED, {"state": "cancelled", "best_value": 0.1 + 0.2, "error": reason}),
        (new.id, EventKind.TRIAL_ENDED, {"state": "cancelled", "best_value": None, "error": reason}),
        (None, EventKind.SWEEP_STATE, {"state": "cancelled", "error": reason}),
    ]


def test_an_interruption_without_a_reason_tells_none(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    trial = running_trial(ledger, sweep)
    before = ledger.events.last_id(sweep.id)
    ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED)
    assert told_events(ledger, sweep.id, before)[0] == (
        trial.id,
        EventKind.TRIAL_WAITING,
        {"state": "paused", "error": None},
    )


def test_what_is_refused_is_not_told(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    older = ledger.with_lease(ledger.leases.take(sweep.id, holder="a", seconds=30))
    trial = running_trial(older, sweep)
    ledger.leases.take(sweep.id, holder="a", seconds=30)
    before = ledger.events.last_id(sweep.id)
    with pytest.raises(StaleAttemptError):
        older.events.add(sweep.id, EventKind.NOTICE, {"text": "hello"})
    with pytest.raises(StaleAttemptError):
        record(older, trial, row(1, 0.5))
    with pytest.raises(TransitionError):
        ledger.sweeps.move(sweep.id, SweepState.PAUSED)
    assert ledger.events.after(sweep.id, before) == []


def test_a_page_has_the_oldest_events_after_an_id(ledger: Ledger) -> None:
    sweep, other = new_sweep(ledger), new_sweep(ledger)
    ids = [ledger.events.add(sweep.id, EventKind.PROGRESS, {"done": n}, trial_id="t") for n in range(5)]
    ledger.events.add(other.id, EventKind.NOTICE, {"text": "elsewhere"})
    page = ledger.events.after(sweep.id, ids[0], limit=2)
    assert [(event.id, event.payload) for event in page] == [(ids[1], {"done": 1}), (ids[2], {"done": 2})]
    assert page[0].trial_id == "t"
    assert ledger.events.last_id(sweep.id) == ids[-1]


def test_an_id_is_never_given_twice_also_after_the_newest_sweep_was_deleted(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.sweeps.move(sweep.id, SweepState.FAILED)
    last = ledger.events.last_id(sweep.id)
    ledger.sweeps.delete(sweep.id)
    assert ledger.events.last_id(new_sweep(ledger).id) > last


def follow(ledger: Ledger, sweep_id: str, until: int, pages: list[list[Event]]) -> None:
    """Page through the events of a sweep until there are as many as expected."""
    last = 0
    while sum(map(len, pages)) < until:
        page = ledger.events.after(sweep_id, last, limit=7)
        if page:
            pages.append(page)
            last = page[-1].id
        else:
            time.sleep(0.001)  # a ledger in memory has one connection, which the writers need too


def test_readers_miss_no_event_of_many_writers_and_ids_rise(ledger: Ledger) -> None:
    writers, events_each = 6, 25
    sweeps = [new_sweep(ledger), new_sweep(ledger)]
    expected = 1 + writers * events_each
    pages: list[list[list[Event]]] = [[] for _ in sweeps]
    returned: list[list[int]] = [[] for _ in range(writers)]

    def write(number: int) -> None:
        for step in range(events_each):
            for sweep in sweeps:
                event_id = ledger.events.add(sweep.id, EventKind.NOTICE, {"text": f"{number}-{step}"})
                returned[number].append(event_id)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    threads += [threading.Thread(target=follow, args=(ledger, sweeps[n].id, expected, pages[n])) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for ids in returned:
        assert ids == sorted(set(ids))
    for number, sweep in enumerate(sweeps):
        read = [event for page in pages[number] for event in page]
        assert read == ledger.events.after(sweep.id, 0, limit=expected + 1)
        assert len(read) == expected


@pytest.mark.parametrize("kind", ["file", "postgresql"])
def test_a_reader_misses_no_event_of_several_processes(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("new_postgresql")()
    ledger = Ledger(url, clock=Ticks())
    sweep = new_sweep(ledger)
    commands = [[sys.executable, "-c", WRITER, url, sweep.id, str(number), "40"] for number in range(3)]
    processes = [Popen(command, stderr=PIPE) for command in commands]
    pages: list[list[Event]] = []
    reader = threading.Thread(target=follow, args=(ledger, sweep.id, 121, pages), daemon=True)
    reader.start()
    assert [(process.communicate()[1].decode(), process.returncode) for process in processes] == [("", 0)] * 3
    reader.join(60)
    read = [event for page in pages for event in page]
    assert read == ledger.events.after(sweep.id, 0)
    assert sorted(event.payload["text"] for event in read[1:]) == sorted(
        f"{w}-{n}" for w in range(3) for n in range(40)
    )
    ledger.close()


def test_payloads_are_plain_json(ledger: Ledger, new_database: Callable[[], str], tmp_path: Path) -> None:
    sweep = new_sweep(ledger)
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    record(ledger, running_trial(ledger, sweep), row(1, 0.5))
    ledger.sweeps.cancel(sweep.id)
    for event in ledger.events.after(sweep.id, 0):
        assert json.loads(json.dumps(event.payload, allow_nan=False)) == event.payload
    ledger.backup(tmp_path / "backup.zip")
    other = Ledger(new_database(), clock=Ticks())
    other.restore(tmp_path / "backup.zip")
    assert other.events.after(sweep.id, 0) == ledger.events.after(sweep.id, 0)
    assert other.events.add(sweep.id, EventKind.NOTICE, {"text": "on"}) > ledger.events.last_id(sweep.id)
    other.close()
