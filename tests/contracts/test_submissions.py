"""Sweeps of a service: submitted once, seen by their owner, changed, explained and deleted, over each backend."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from sqlalchemy import func, select

from service.errors import ConflictError, SweepNotFoundError, TransitionError
from service.ledgers import Ending, EventKind, Ledger, MessageKind, PackedPredictions, Revision, SweepState, TrialState
from service.ledgers.tables import metadata
from tests.contracts.ledgers import Ticks, new_sweep, record, row, running_trial, submit


def test_a_submitted_sweep_is_validating_has_an_owner_and_no_images_yet(ledger: Ledger) -> None:
    sweep, created = submit(ledger, "ada")
    assert created
    assert (sweep.state, sweep.owner, sweep.data) == (SweepState.VALIDATING, "ada", {})
    assert sweep.settings == {"budget.trials": 4}
    assert (sweep.priority, sweep.slot_cap, sweep.restarts, sweep.queued_at, sweep.waiting_for) == (
        0,
        None,
        0,
        None,
        None,
    )
    assert new_sweep(ledger).owner is None


def test_the_same_request_again_gets_the_same_sweep(ledger: Ledger) -> None:
    sweep, _ = submit(ledger, key="k", digest="d")
    assert submit(ledger, key="k", digest="d") == (sweep, False)
    assert len(ledger.sweeps.list()) == 1


def test_another_request_with_the_same_key_is_refused(ledger: Ledger) -> None:
    submit(ledger, key="k", digest="d")
    with pytest.raises(ConflictError, match="the idempotency key k was used for another request"):
        submit(ledger, key="k", digest="e")


def test_keys_of_different_owners_are_different_and_no_key_is_no_key(ledger: Ledger) -> None:
    sweeps = [submit(ledger, "ada", key="k"), submit(ledger, "bob", key="k"), submit(ledger), submit(ledger)]
    assert [created for _, created in sweeps] == [True] * 4
    assert len({sweep.id for sweep, _ in sweeps}) == 4


def test_of_requests_at_once_with_one_key_one_creates_the_sweep(ledger: Ledger) -> None:
    answers: list[tuple[str, bool]] = []
    together = threading.Barrier(5)

    def send() -> None:
        together.wait()
        sweep, created = submit(ledger, key="k", digest="d")
        answers.append((sweep.id, created))

    threads = [threading.Thread(target=send) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({sweep_id for sweep_id, _ in answers}) == 1
    assert sorted(created for _, created in answers) == [False] * 4 + [True]


def test_an_owner_finds_and_lists_only_own_sweeps(ledger: Ledger) -> None:
    mine, _ = submit(ledger, "ada")
    other, _ = submit(ledger, "bob")
    assert ledger.sweeps.list(owner="ada") == [mine]
    assert ledger.sweeps.find("last", owner="ada") == mine
    assert ledger.sweeps.find("cells", owner="ada") == mine
    assert ledger.sweeps.find("s-", owner="ada") == mine
    assert ledger.sweeps.find("last") == other
    for reference in (other.id, other.id[2:], "fish"):
        with pytest.raises(SweepNotFoundError, match=f"no sweep {reference}; the only one is {mine.id}"):
            ledger.sweeps.find(reference, owner="ada")
    with pytest.raises(SweepNotFoundError, match="no sweeps yet"):
        ledger.sweeps.find(mine.id, owner="eve")


def test_pages_of_an_owner_leave_others_out(ledger: Ledger) -> None:
    mine = [submit(ledger, owner)[0] for owner in ("ada", "bob") * 3][::2]
    page = ledger.sweeps.list(owner="ada", limit=2)
    assert page == [mine[2], mine[1]]
    assert ledger.sweeps.list(owner="ada", after=page[-1].id) == [mine[0]]


def test_priority_and_slot_cap_change_while_a_sweep_runs(ledger: Ledger) -> None:
    sweep, _ = submit(ledger)
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    changed = ledger.sweeps.change(sweep.id, priority=5, slot_cap=2)
    assert (changed.priority, changed.slot_cap) == (5, 2)
    changed = ledger.sweeps.change(sweep.id, slot_cap=None)
    assert (changed.priority, changed.slot_cap) == (5, None)


def test_settings_that_are_learned_leave_the_others_as_they_are(ledger: Ledger) -> None:
    sweep, _ = submit(ledger)
    learned = ledger.sweeps.learn(sweep.id, {"space.own_stages": {"mine:net": 3}})
    assert learned.settings == {"budget.trials": 4, "space.own_stages": {"mine:net": 3}}
    assert (learned.own_stages("mine:net"), learned.own_stages("timm/resnet18")) == (3, None)


def revision(old: str, text: str, **budget: object) -> Revision:
    return Revision(old_text=old, text=text, settings={f"budget.{name}": value for name, value in budget.items()})


def test_a_file_changes_before_and_after_the_start_and_the_first_values_are_kept(ledger: Ledger) -> None:
    sweep, _ = submit(ledger)
    ledger.sweeps.note(sweep.id, settings={"search.seed": 3, "budget.trials": 4})
    queued = ledger.sweeps.change(sweep.id, revision(sweep.spec_text, "second", trials=6))
    assert (queued.spec_text, queued.settings) == ("second", {"search.seed": 3, "budget.trials": 6})
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    ledger.sweeps.change(sweep.id, revision("second", "third", trials=8, wall=60.0), priority=-1)
    running = ledger.sweeps.change(sweep.id, revision("third", "fourth", trials=2, wall=90.0))
    assert running.present_settings == {"search.seed": 3, "budget.trials": 2, "budget.wall": 90.0}
    assert running.first_settings == {"search.seed": 3, "budget.trials": 6}
    changes = [
        event.payload["changes"] for event in ledger.events.after(sweep.id, 0) if event.kind is EventKind.SWEEP_CHANGED
    ]
    assert changes == [
        {"budget.trials": [4, 6]},
        {"priority": [0, -1], "budget.trials": [6, 8], "budget.wall": [None, 60.0]},
        {"budget.trials": [8, 2], "budget.wall": [60.0, 90.0]},
    ]


def test_of_two_changes_of_one_file_the_second_is_refused(ledger: Ledger) -> None:
    sweep, _ = submit(ledger)
    ledger.sweeps.change(sweep.id, revision(sweep.spec_text, "second", trials=6))
    with pytest.raises(ConflictError, match=f"{sweep.id} was changed by somebody else just now"):
        ledger.sweeps.change(sweep.id, revision(sweep.spec_text, "other", trials=7), priority=1)
    after = ledger.sweeps.get(sweep.id)
    assert (after.spec_text, after.priority) == ("second", 0)


def test_a_sweep_ends_unless_its_file_has_changed_and_then_changes_no_more(ledger: Ledger) -> None:
    sweep, _ = submit(ledger)
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    ledger.sweeps.change(sweep.id, revision(sweep.spec_text, "second", trials=6))
    assert ledger.sweeps.read_revision(sweep.id, sweep.spec_text) == "second"
    assert ledger.sweeps.read_revision(sweep.id, "second") is None
    end = partial(ledger.sweeps.end_unless_revised, sweep.id, SweepState.COMPLETED, error=None)
    assert not end(known_text=sweep.spec_text)
    assert ledger.sweeps.get(sweep.id).state is SweepState.RUNNING
    assert end(known_text="second")
    with pytest.raises(TransitionError, match="is completed; it can no longer change"):
        ledger.sweeps.change(sweep.id, priority=1)
    assert ledger.sweeps.revise(sweep.id, revision("second", "third", trials=9)).settings["budget.trials"] == 9


def test_the_facts_that_a_driver_learns_later_are_noted(ledger: Ledger) -> None:
    sweep, _ = submit(ledger)
    ledger.sweeps.note(sweep.id, data={"digest": "d"}, settings={"budget.trials": 5}, restarts=2)
    noted = ledger.sweeps.get(sweep.id)
    assert (noted.data, noted.settings, noted.restarts) == ({"digest": "d"}, {"budget.trials": 5}, 2)


def test_a_sweep_says_why_it_waits_until_its_state_changes(ledger: Ledger, clock: Ticks) -> None:
    sweep, _ = submit(ledger)
    clock.now = 5_000
    assert ledger.sweeps.move(sweep.id, SweepState.QUEUED).queued_at == 5_001
    ledger.sweeps.explain_waiting(sweep.id, "2 sweeps are before it")
    assert ledger.sweeps.get(sweep.id).waiting_for == "2 sweeps are before it"
    ledger.sweeps.explain_waiting(sweep.id, None)
    assert ledger.sweeps.get(sweep.id).waiting_for is None
    ledger.sweeps.explain_waiting(sweep.id, "1 sweep is before it")
    assert ledger.sweeps.move(sweep.id, SweepState.RUNNING).waiting_for is None


@pytest.mark.parametrize("state", ["completed", "stopped", "failed", "paused", "interrupted"])
def test_a_sweep_at_rest_may_be_queued_again(ledger: Ledger, state: str) -> None:
    sweep, _ = submit(ledger)
    path = {"stopped": ["running", "stopping"], "paused": ["running", "pausing"]}.get(state, ["running"])
    for step in (*path, state):
        ledger.sweeps.move(sweep.id, SweepState(step))
    queued = ledger.sweeps.move(sweep.id, SweepState.QUEUED)
    assert (queued.state, queued.finished_at) == (SweepState.QUEUED, None)


@pytest.mark.parametrize("state", [state for state in SweepState if state.is_under_way])
def test_a_sweep_under_way_is_not_deleted(ledger: Ledger, state: SweepState) -> None:
    sweep, _ = submit(ledger)
    if state is not SweepState.VALIDATING:
        if not SweepState.VALIDATING.may_become(state):
            ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        ledger.sweeps.move(sweep.id, state)
    with pytest.raises(TransitionError, match=f"is {state}; it cannot be deleted before it ends"):
        ledger.sweeps.delete(sweep.id)


def test_a_deleted_sweep_leaves_no_row_and_others_stay(ledger: Ledger) -> None:
    def fill() -> str:
        sweep, _ = submit(ledger)
        ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        trial = running_trial(ledger, sweep)
        record(ledger, trial, row(1, 0.5))
        ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.COMPLETED))
        ledger.outbox.put(sweep.id, MessageKind.MODEL, {}, trial_id=trial.id)
        ledger.events.add(sweep.id, EventKind.NOTICE, {"text": "hello"})
        ledger.predictions.add(trial.id, [PackedPredictions(split="val", epoch=1, images=2, packed="x")])
        ledger.predictions.note_labels(sweep.id, {"val": "y"})
        ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
        return sweep.id

    def count_rows() -> dict[str, int]:
        with ledger._transactions.reading() as connection:
            return {
                table.name: connection.scalar(select(func.count()).select_from(table)) or 0
                for table in metadata.sorted_tables
            }

    kept = fill()
    before, history = count_rows(), ledger.history(kept)
    empty = {name for name, count in before.items() if not count}
    assert empty == {"users", "tokens", "audit", "services", "promotions"}
    deleted = fill()
    ledger.sweeps.delete(deleted)
    assert count_rows() == before
    assert ledger.history(kept) == history
    with pytest.raises(SweepNotFoundError):
        ledger.sweeps.get(deleted)
