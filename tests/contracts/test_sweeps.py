"""Listing, finding and cancelling sweeps, unknown ids, and sweeps of many trials, over each backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, event, insert

from search_spaces import Goal
from service.errors import SweepNotFoundError, TransitionError, TrialNotFoundError
from service.ledgers import (
    Cause,
    Ending,
    EventKind,
    JournalEvent,
    Lease,
    Ledger,
    MessageKind,
    SweepAction,
    SweepState,
    TrialState,
    tables,
)
from tests.contracts.ledgers import Ticks, new_sweep, record, row, running_trial

FEWEST_VARIABLES = 32_766
"""Most bind variables in one statement of SQLite; PostgreSQL takes 65,535."""

CALLS_WITH_AN_UNKNOWN_SWEEP: dict[str, Callable[[Ledger], object]] = {
    "get": lambda ledger: ledger.sweeps.get("s-none"),
    "find": lambda ledger: ledger.sweeps.find("s-none"),
    "list after": lambda ledger: ledger.sweeps.list(after="s-none"),
    "move": lambda ledger: ledger.sweeps.move("s-none", SweepState.RUNNING),
    "note": lambda ledger: ledger.sweeps.note("s-none", best_trial_id="t"),
    "request": lambda ledger: ledger.sweeps.request_action("s-none", SweepAction.STOP),
    "requested": lambda ledger: ledger.sweeps.requested_action("s-none"),
    "cancel": lambda ledger: ledger.sweeps.cancel("s-none"),
    "history": lambda ledger: ledger.history("s-none"),
    "trials": lambda ledger: ledger.trials.list("s-none"),
    "create trial": lambda ledger: ledger.trials.create(
        "s-none", number=0, point={}, recipe={}, identity="i", seed=0, started=True
    ),
    "take lease": lambda ledger: ledger.leases.take("s-none", holder="here", seconds=1.0),
    "message": lambda ledger: ledger.outbox.put("s-none", MessageKind.MODEL, {}),
    "epochs": lambda ledger: ledger.trials.epochs_of_sweep("s-none"),
    "renew lease": lambda ledger: ledger.leases.renew(Lease(sweep_id="s-none", holder="here", attempt=1, seconds=1.0)),
    "change": lambda ledger: ledger.sweeps.change("s-none", priority=1),
    "change nothing": lambda ledger: ledger.sweeps.change("s-none"),
    "explain": lambda ledger: ledger.sweeps.explain_waiting("s-none", "the queue is full"),
    "delete": lambda ledger: ledger.sweeps.delete("s-none"),
    "event": lambda ledger: ledger.events.add("s-none", EventKind.NOTICE, {"text": "hello"}),
    "events": lambda ledger: ledger.events.after("s-none", 0),
    "last event": lambda ledger: ledger.events.last_id("s-none"),
    "holder": lambda ledger: ledger.leases.holder("s-none"),
    "interrupt": lambda ledger: ledger.sweeps.interrupt_if_undriven("s-none", error="gone"),
}
CALLS_WITH_AN_UNKNOWN_TRIAL: dict[str, Callable[[Ledger], object]] = {
    "get": lambda ledger: ledger.trials.get("t-none"),
    "start": lambda ledger: ledger.trials.start_attempt("t-none"),
    "record": lambda ledger: ledger.trials.record_epochs(
        "t-none", attempt=1, rows=[row(1, 0.5)], metric="val/accuracy", goal=Goal.MAXIMIZE
    ),
    "reading": lambda ledger: ledger.trials.add_reading("t-none", epoch=1, split="test", metrics={}),
    "retry": lambda ledger: ledger.trials.retry("t-none", attempt=1, cause=Cause.DIED, error=""),
    "failures": lambda ledger: ledger.trials.count_failures("t-none", Cause.DIED),
    "finish": lambda ledger: ledger.trials.finish("t-none", attempt=1, ending=Ending(state=TrialState.COMPLETED)),
    "run": lambda ledger: ledger.trials.note_runs({"t-none": "run"}),
    "epochs": lambda ledger: ledger.trials.epochs("t-none"),
}


def test_every_method_refuses_an_unknown_sweep(ledger: Ledger) -> None:
    new_sweep(ledger)
    for call in CALLS_WITH_AN_UNKNOWN_SWEEP.values():
        with pytest.raises(SweepNotFoundError, match="no sweep s-none"):
            call(ledger)


def test_every_method_refuses_an_unknown_trial(ledger: Ledger) -> None:
    running_trial(ledger, new_sweep(ledger))
    for call in CALLS_WITH_AN_UNKNOWN_TRIAL.values():
        with pytest.raises(TrialNotFoundError, match="no trial t-none"):
            call(ledger)


def test_the_pages_of_a_list_have_every_sweep_once_and_the_newest_first(ledger: Ledger) -> None:
    sweeps = [new_sweep(ledger, f"cells-{number % 2}") for number in range(7)]
    ledger.sweeps.move(sweeps[3].id, SweepState.RUNNING)
    pages, after = [], None
    while page := ledger.sweeps.list(limit=3, after=after):
        pages.append([sweep.id for sweep in page])
        after = page[-1].id
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [sweep_id for page in pages for sweep_id in page] == [sweep.id for sweep in reversed(sweeps)]
    assert [sweep.id for sweep in ledger.sweeps.list(name="cells-1")] == [sweeps[n].id for n in (5, 3, 1)]
    assert [sweep.id for sweep in ledger.sweeps.list(states=[SweepState.RUNNING])] == [sweeps[3].id]
    assert ledger.sweeps.list(states=[]) == []


def test_sweeps_of_the_same_moment_are_paged_by_id(url: str) -> None:
    ledger = Ledger(url, clock=lambda: 1_000)
    ids = sorted(new_sweep(ledger).id for _ in range(5))
    first = ledger.sweeps.list(limit=2)
    rest = ledger.sweeps.list(after=first[-1].id)
    assert [sweep.id for sweep in [*first, *rest]] == ids
    ledger.close()


def test_the_message_for_a_prefix_of_several_ids_gives_the_first_eight(ledger: Ledger) -> None:
    for _ in range(12):
        new_sweep(ledger)
    with pytest.raises(SweepNotFoundError, match=r"s- fits more than 8 sweeps: (s-[0-9a-f]{6}, ){8}\.\.\."):
        ledger.sweeps.find("s-")


def test_only_the_trials_of_the_given_sweeps_are_counted(ledger: Ledger) -> None:
    sweep, other = new_sweep(ledger), new_sweep(ledger)
    record(ledger, running_trial(ledger, sweep), row(1, 0.5))
    running_trial(ledger, other)
    counts = ledger.sweeps.trial_counts([sweep.id])
    assert list(counts) == [sweep.id]
    assert (counts[sweep.id].total, counts[sweep.id].highest) == (1, 0.5)


def test_cancelling_a_sweep_ends_its_unfinished_trials_with_a_message_for_each(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    done, running, failed = (running_trial(ledger, sweep, number) for number in range(3))
    ledger.trials.create(sweep.id, number=3, point={}, recipe={}, identity="i", seed=0)
    ledger.trials.finish(done.id, attempt=1, ending=Ending(state=TrialState.COMPLETED))
    ledger.trials.retry(failed.id, attempt=1, cause=Cause.DIED, error="killed")
    ledger.outbox.mark_sent(*(message.id for message in ledger.outbox.unsent(sweep.id)))

    cancelled = ledger.sweeps.cancel(sweep.id)

    assert (cancelled.state, cancelled.error) == (SweepState.CANCELLED, "cancelled by `meltpoint cancel`")
    assert [trial.state for trial in ledger.trials.list(sweep.id)] == [
        TrialState.COMPLETED,
        *[TrialState.CANCELLED] * 3,
    ]
    assert {trial.error for trial in ledger.trials.list(sweep.id)[1:]} == {cancelled.error}
    messages = [(message.trial_id, message.kind, message.payload) for message in ledger.outbox.unsent(sweep.id)]
    assert messages == [
        (running.id, MessageKind.TRIAL_FINISHED, {"state": "cancelled"}),
        (failed.id, MessageKind.TRIAL_FINISHED, {"state": "cancelled"}),
        (None, MessageKind.SWEEP_CANCELLED, {}),
        (None, MessageKind.REPORT, {}),
    ]
    ended = [entry.trial_id for entry in ledger.history(sweep.id).journal if entry.kind is JournalEvent.ENDED]
    assert ended == [done.id, running.id, failed.id, f"{sweep.id}-0003"]
    with pytest.raises(TransitionError):
        ledger.sweeps.cancel(sweep.id)


def test_cancelled_trials_are_told_by_number_also_beyond_four_digits(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    trials = [running_trial(ledger, sweep, number) for number in (9_999, 10_000)]
    ledger.sweeps.cancel(sweep.id)
    messages = [message for message in ledger.outbox.unsent(sweep.id) if message.kind is MessageKind.TRIAL_FINISHED]
    assert [message.trial_id for message in messages] == [trial.id for trial in trials]
    assert [entry.trial_id for entry in ledger.history(sweep.id).journal] == [trial.id for trial in trials]


def test_mlflow_never_hears_of_a_sweep_that_did_not_begin(ledger: Ledger) -> None:
    never, begun = new_sweep(ledger), new_sweep(ledger)
    ledger.sweeps.move(never.id, SweepState.INTERRUPTED)
    ledger.sweeps.cancel(never.id)
    ledger.sweeps.move(begun.id, SweepState.RUNNING)
    ledger.sweeps.move(begun.id, SweepState.INTERRUPTED)
    ledger.sweeps.cancel(begun.id)
    assert ledger.outbox.count_unsent(never.id) == 0
    assert ledger.outbox.count_unsent(begun.id) == 4


def test_several_sweeps_are_read_at_once_and_unknown_ones_left_out(ledger: Ledger) -> None:
    first, second = new_sweep(ledger), new_sweep(ledger)
    assert {sweep.id for sweep in ledger.sweeps.get_several([first.id, second.id, "s-nobody"])} == {first.id, second.id}


def test_finished_epochs_are_counted_over_all_trials_of_a_sweep(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    assert ledger.trials.count_epochs(sweep.id) == 0
    record(ledger, running_trial(ledger, sweep), row(1, 0.5), row(2, 0.6))
    record(ledger, running_trial(ledger, sweep, number=1), row(1, 0.5))
    assert ledger.trials.count_epochs(sweep.id) == 3


@pytest.mark.parametrize("url", ["file", "postgresql"], indirect=True)
def test_no_statement_grows_with_the_number_of_trials(url: str) -> None:
    """Compare two sizes, both above the number of ids that one statement names."""
    ledger = Ledger(url, clock=Ticks())
    sizes = [_largest_statement(ledger, url, trials) for trials in (1_100, 2_200)]
    assert sizes[0] == sizes[1]
    length, variables = sizes[0]
    assert variables < FEWEST_VARIABLES / 2
    assert length < 30_000
    ledger.close()


def _largest_statement(ledger: Ledger, url: str, many: int) -> tuple[int, int]:
    """Return the most characters and bind variables of a statement while a sweep of so many trials is read and ended.

    The sweep is added by statements that are not counted.
    """
    sweep = new_sweep(ledger)
    ids = [f"{sweep.id}-{number:05d}" for number in range(many)]
    common = {"sweep_id": sweep.id, "point": {}, "recipe": {}, "identity": "i", "seed": 0, "created_at": 0}
    engine = create_engine(url)
    with engine.begin() as connection:
        trials = [common | {"id": i, "number": n, "state": "running", "attempt": 1} for n, i in enumerate(ids)]
        connection.execute(insert(tables.trials), [trial | {"epochs": 1} for trial in trials])
        marks = [{"trial_id": i, "epoch": 1, "attempt": 1, "seconds": 1.0, "recorded_at": 0} for i in ids]
        connection.execute(insert(tables.epochs), marks)
        messages = [{"sweep_id": sweep.id, "trial_id": i, "kind": "epochs", "payload": {}} for i in ids]
        connection.execute(insert(tables.outbox), [message | {"created_at": 0, "tries": 0} for message in messages])
    engine.dispose()
    length = variables = 0

    def measure(
        _connection: object, _cursor: object, statement: str, parameters: Any, _context: object, *_: object
    ) -> None:
        nonlocal length, variables
        rows = parameters if isinstance(parameters, list) else [parameters]
        length = max(length, len(statement))
        variables = max(variables, *(len(row) for row in rows), 0)

    event.listen(ledger._engine, "before_cursor_execute", measure)
    assert len(ledger.history(sweep.id).epochs) == many
    assert len(ledger.trials.epochs_of(ids)) == many
    waiting = ledger.outbox.unsent(sweep.id)
    ledger.outbox.note_failure(*(message.id for message in waiting), error="away")
    ledger.outbox.mark_sent(*(message.id for message in waiting))
    assert ledger.sweeps.trial_counts([sweep.id])[sweep.id].total == many
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED)
    ledger.sweeps.cancel(sweep.id)
    assert ledger.outbox.count_unsent(sweep.id) == many + 4
    ledger.sweeps.delete(sweep.id)
    assert ledger.sweeps.list() == []
    event.remove(ledger._engine, "before_cursor_execute", measure)
    return length, variables


def test_sweeps_are_counted_by_state_and_the_newest_event_is_that_of_all(ledger: Ledger) -> None:
    before = ledger.events.newest_id()
    first, second = new_sweep(ledger), new_sweep(ledger)
    ledger.sweeps.cancel(first.id)
    counts = ledger.sweeps.count_by_state()
    assert (counts[SweepState.VALIDATING], counts[SweepState.CANCELLED], counts[SweepState.RUNNING]) == (1, 1, 0)
    newest = ledger.events.newest_id()
    assert before < ledger.events.last_id(second.id) < newest == ledger.events.last_id(first.id)
    ledger.sweeps.delete(first.id)
    assert ledger.events.newest_id() == ledger.events.last_id(second.id)
