"""The ledger's contract, over each backend."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import (
    BackupError,
    LeaseError,
    LedgerError,
    StaleAttemptError,
    SweepNotFoundError,
    TransitionError,
)
from service.ledgers import (
    Cause,
    Ending,
    JournalEvent,
    Ledger,
    MessageKind,
    SweepAction,
    SweepState,
    Trial,
    TrialState,
)
from tests.contracts.ledgers import Ticks, new_sweep, record, row, running_trial, submit


def test_a_sweep_is_found_by_id_prefix_name_and_last(ledger: Ledger) -> None:
    first, second = new_sweep(ledger, "cells"), new_sweep(ledger, "birds")
    assert ledger.sweeps.find(first.id) == first
    assert ledger.sweeps.find(first.id[:-1]) == first
    assert ledger.sweeps.find("birds") == second
    assert ledger.sweeps.find("last") == second
    with pytest.raises(SweepNotFoundError, match="fits 2 sweeps"):
        ledger.sweeps.find("s-")
    with pytest.raises(SweepNotFoundError, match="no sweep fish; to see the 2 sweeps: meltpoint ls"):
        ledger.sweeps.find("fish")


def test_a_name_of_several_sweeps_finds_the_newest(ledger: Ledger) -> None:
    new_sweep(ledger, "cells")
    newest = new_sweep(ledger, "cells")
    assert ledger.sweeps.find("cells") == newest


def test_an_epoch_counts_once_and_of_equal_epochs_the_first_is_best(ledger: Ledger) -> None:
    trial = running_trial(ledger, new_sweep(ledger))
    record(ledger, trial, row(1, 0.5), row(2, 0.8))
    after = record(ledger, trial, row(2, 0.9), row(3, 0.8))
    assert (after.epochs, after.best_epoch, after.best_value) == (3, 2, 0.8)
    assert [r.metrics()["val/accuracy"] for r in ledger.trials.epochs(trial.id)] == [0.5, 0.8, 0.8]


def test_a_value_that_is_not_a_number_is_kept_but_never_best(ledger: Ledger) -> None:
    trial = running_trial(ledger, new_sweep(ledger))
    after = record(ledger, trial, row(1, math.nan))
    assert after.best_value is None
    assert math.isnan(ledger.trials.epochs(trial.id)[0].metrics()["val/accuracy"])


def test_an_older_attempt_is_refused(ledger: Ledger) -> None:
    trial = running_trial(ledger, new_sweep(ledger))
    with pytest.raises(StaleAttemptError, match="a result of attempt 0 was refused"):
        record(ledger, trial, row(1, 0.5), attempt=0)
    assert ledger.trials.epochs(trial.id) == []


def test_a_finished_trial_never_changes(ledger: Ledger) -> None:
    trial = running_trial(ledger, new_sweep(ledger))
    done = ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.COMPLETED))
    with pytest.raises(StaleAttemptError):
        record(ledger, trial, row(1, 0.5))
    with pytest.raises(StaleAttemptError):
        ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.FAILED))
    assert ledger.trials.get(trial.id) == done


def test_a_cancelled_sweep_takes_no_other_state(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    ledger.sweeps.move(sweep.id, SweepState.CANCELLED)
    for state in SweepState:
        with pytest.raises(TransitionError, match=f"is cancelled; it cannot become {state}"):
            ledger.sweeps.move(sweep.id, state)


def test_a_finished_sweep_may_run_again_and_keeps_when_it_began(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    began = ledger.sweeps.move(sweep.id, SweepState.RUNNING).started_at
    assert ledger.sweeps.move(sweep.id, SweepState.COMPLETED).finished_at is not None
    with pytest.raises(TransitionError, match="is completed; it cannot become paused"):
        ledger.sweeps.move(sweep.id, SweepState.PAUSED)
    again = ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    assert (again.started_at, again.finished_at) == (began, None)


def test_the_outbox_keeps_order_until_sent(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    trial = running_trial(ledger, sweep)
    record(ledger, trial, row(1, 0.5), row(2, 0.6))
    ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.PRUNED))
    waiting = ledger.outbox.unsent(sweep.id)
    assert [m.kind for m in waiting] == ["sweep_running", "trial_started", "epochs", "trial_finished"]
    assert waiting[2].payload == {"first": 1, "last": 2}
    ledger.outbox.mark_sent(waiting[0].id)
    ledger.outbox.note_failure(waiting[1].id, error="no answer")
    first = ledger.outbox.unsent(sweep.id)[0]
    assert (first.kind, first.tries) == ("trial_started", 1)


def test_several_threads_may_record_at_once(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    trials = [running_trial(ledger, sweep, number) for number in range(4)]

    def work(trial: Trial) -> None:
        for epoch in range(1, 11):
            record(ledger, trial, row(epoch, epoch / 10))

    threads = [threading.Thread(target=work, args=(trial,)) for trial in trials]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [t.epochs for t in ledger.trials.list(sweep.id)] == [10, 10, 10, 10]


@pytest.mark.parametrize("_turn", range(10))
def test_only_one_of_two_threads_can_finish_a_trial(ledger: Ledger, _turn: int) -> None:
    trial = running_trial(ledger, new_sweep(ledger))
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def finish(state: TrialState) -> None:
        together.wait()
        try:
            outcomes.append(ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=state)).state)
        except StaleAttemptError:
            outcomes.append("refused")

    threads = [threading.Thread(target=finish, args=(s,)) for s in (TrialState.COMPLETED, TrialState.FAILED)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("refused") == 1
    assert ledger.trials.get(trial.id).state in outcomes


def test_an_interrupted_sweep_pauses_its_running_trials(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    running, done = running_trial(ledger, sweep, 0), running_trial(ledger, sweep, 1)
    ledger.trials.finish(done.id, attempt=1, ending=Ending(state=TrialState.COMPLETED))
    ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED, error="gone")
    assert ledger.trials.get(running.id).state is TrialState.PAUSED
    assert ledger.trials.get(done.id).state is TrialState.COMPLETED


def test_the_journal_keeps_events_in_their_order(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    started = [
        ledger.trials.create(sweep.id, number=n, point={}, recipe={}, identity=str(n), seed=0, started=True)
        for n in range(2)
    ]
    record(ledger, started[1], row(1, 0.5))
    record(ledger, started[0], row(1, 0.5), row(2, 0.6))
    ledger.trials.finish(started[1].id, attempt=1, ending=Ending(state=TrialState.PAUSED))
    again = ledger.trials.start_attempt(started[1].id)
    record(ledger, again, row(1, 0.9), attempt=2)  # recorded before
    ledger.trials.finish(again.id, attempt=2, ending=Ending(state=TrialState.PRUNED))
    asked, reported, ended = JournalEvent.ASKED, JournalEvent.REPORTED, JournalEvent.ENDED
    journal = [
        (int(entry.trial_id[-4:]), entry.kind, entry.first, entry.last) for entry in ledger.history(sweep.id).journal
    ]
    assert journal == [
        (0, asked, None, None),
        (1, asked, None, None),
        (1, reported, 1, 1),
        (0, reported, 1, 2),
        (1, ended, None, None),
    ]


def test_a_paused_trial_goes_on_in_its_next_attempt(ledger: Ledger) -> None:
    trial = running_trial(ledger, new_sweep(ledger))
    record(ledger, trial, row(1, 0.5))
    ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.PAUSED))
    again = ledger.trials.start_attempt(trial.id)
    assert (again.attempt, again.state, again.epochs) == (2, TrialState.RUNNING, 1)
    with pytest.raises(StaleAttemptError, match="a result of attempt 1 was refused"):
        record(ledger, trial, row(2, 0.5))


def test_failures_are_counted_by_cause(ledger: Ledger) -> None:
    trial = running_trial(ledger, new_sweep(ledger))
    for attempt, cause in ((1, Cause.HUNG), (2, Cause.LOST_NODE), (3, Cause.HUNG)):
        ledger.trials.retry(trial.id, attempt=attempt, cause=cause, error="gone")
        ledger.trials.start_attempt(trial.id)
    assert [ledger.trials.count_failures(trial.id, cause) for cause in (Cause.HUNG, Cause.LOST_NODE, Cause.DIED)] == [
        2,
        1,
        0,
    ]


def test_each_attempt_keeps_its_node_and_a_pause_for_a_node_that_leaves_its_cause(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    trial = ledger.trials.create(
        sweep.id, number=0, point={}, recipe={}, identity="0", seed=0, started=True, node="gpu-1"
    )
    leaving = Ending(state=TrialState.PAUSED, error="its node leaves", cause=Cause.PREEMPTED)
    assert ledger.trials.finish(trial.id, attempt=1, ending=leaving).node == "gpu-1"
    assert ledger.trials.start_attempt(trial.id, node="gpu-2").node == "gpu-2"
    assert ledger.trials.get(trial.id).node == "gpu-2"
    assert [ledger.trials.count_failures(trial.id, cause) for cause in (Cause.PREEMPTED, Cause.LOST_NODE)] == [1, 0]
    nodes = [event.payload.get("node") for event in ledger.events.after(sweep.id, 0) if "attempt" in event.payload]
    assert nodes == ["gpu-1", "gpu-2"]
    ledger.trials.retry(trial.id, attempt=2, cause=Cause.LOST_NODE, error="gone")
    assert ledger.trials.start_attempt(trial.id).node is None, "it is not known of every attempt"


@pytest.mark.parametrize("resumed", [SweepState.RUNNING, SweepState.QUEUED])
def test_a_requested_action_is_kept_until_the_sweep_is_resumed(ledger: Ledger, resumed: SweepState) -> None:
    sweep = new_sweep(ledger)
    ledger.sweeps.request_action(sweep.id, SweepAction.PAUSE)
    ledger.sweeps.request_action(sweep.id, SweepAction.STOP)
    for state in (SweepState.QUEUED, SweepState.RUNNING, SweepState.INTERRUPTED):
        ledger.sweeps.move(sweep.id, state)
        assert ledger.sweeps.requested_action(sweep.id) is SweepAction.STOP
    ledger.sweeps.move(sweep.id, resumed)
    assert ledger.sweeps.requested_action(sweep.id) is None


def test_a_lease_belongs_to_one_holder_until_it_runs_out(ledger: Ledger, clock: Ticks) -> None:
    sweep = new_sweep(ledger)
    lease = ledger.leases.take(sweep.id, holder="a", seconds=30)
    with pytest.raises(LeaseError, match="is driven by another process, whose lease runs out in 30 s"):
        ledger.leases.take(sweep.id, holder="b", seconds=30)
    clock.now += 20_000
    ledger.leases.renew(lease)
    clock.now += 20_000
    assert ledger.leases.holder(sweep.id) == "a"
    with pytest.raises(LeaseError):
        ledger.leases.take(sweep.id, holder="b", seconds=30)
    clock.now += 20_000
    assert ledger.leases.holder(sweep.id) is None
    assert ledger.leases.take(sweep.id, holder="b", seconds=30).attempt == 2
    with pytest.raises(StaleAttemptError, match="is driven in attempt 2; what attempt 1 wrote was refused"):
        ledger.leases.renew(lease)


def test_a_lease_given_up_is_free_at_once(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.leases.give_up(ledger.leases.take(sweep.id, holder="a", seconds=30))
    assert ledger.leases.holder(sweep.id) is None
    assert ledger.leases.take(sweep.id, holder="b", seconds=30).attempt == 2


def test_the_lease_of_a_holder_known_to_be_dead_is_free_at_once(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    dead = ledger.leases.take(sweep.id, holder="a", seconds=30)
    for replacing in (None, "c"):
        with pytest.raises(LeaseError):
            ledger.leases.take(sweep.id, holder="b", seconds=30, replacing=replacing)
    assert ledger.leases.take(sweep.id, holder="b", seconds=30, replacing="a").attempt == 2
    with pytest.raises(StaleAttemptError):
        ledger.leases.renew(dead)


def test_holders_of_sweeps_are_listed_by_state(ledger: Ledger, clock: Ticks) -> None:
    held, free, queued, late = (new_sweep(ledger) for _ in range(4))
    for sweep in (held, free, late):
        ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    ledger.sweeps.move(queued.id, SweepState.QUEUED)
    ledger.leases.take(late.id, holder="b", seconds=30)
    clock.now += 31_000
    ledger.leases.take(held.id, holder="a", seconds=30)
    running = {held.id: "a", free.id: None, late.id: None}
    assert ledger.leases.holders([SweepState.RUNNING]) == running
    assert ledger.leases.holders([SweepState.RUNNING, SweepState.QUEUED]) == running | {queued.id: None}


def test_a_sweep_is_interrupted_only_if_nobody_has_its_lease(ledger: Ledger, clock: Ticks) -> None:
    sweep = new_sweep(ledger)
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    ledger.leases.take(sweep.id, holder="a", seconds=30)
    assert ledger.sweeps.interrupt_if_undriven(sweep.id, error="gone") is None
    assert ledger.sweeps.interrupt_if_undriven(sweep.id, dead="b", error="gone") is None
    clock.now += 31_000
    interrupted = ledger.sweeps.interrupt_if_undriven(sweep.id, error="gone")
    assert interrupted is not None
    assert (interrupted.state, interrupted.error) == (SweepState.INTERRUPTED, "gone")
    assert ledger.sweeps.interrupt_if_undriven(sweep.id, error="gone") is None, "it is at rest"


def test_a_sweep_of_a_dead_holder_is_interrupted_at_once(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    ledger.leases.take(sweep.id, holder="a", seconds=30)
    assert ledger.sweeps.interrupt_if_undriven(sweep.id, dead="a", error="gone") is not None


def test_a_sweep_waits_for_its_first_driver_as_long_as_a_service_may_start_it(ledger: Ledger, clock: Ticks) -> None:
    sweep, (submitted, _) = new_sweep(ledger), submit(ledger)
    assert ledger.sweeps.interrupt_if_undriven(sweep.id, error="gone") is None
    clock.now += 31_000
    assert ledger.sweeps.interrupt_if_undriven(submitted.id, error="gone") is None
    assert ledger.sweeps.interrupt_if_undriven(sweep.id, error="gone") is not None
    ledger.leases.take(submitted.id, holder="a", seconds=30)
    clock.now += 31_000
    assert ledger.sweeps.interrupt_if_undriven(submitted.id, error="gone") is None


def test_a_sweep_whose_driver_died_while_cancelling_becomes_cancelled(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    trial = running_trial(ledger, sweep)
    ledger.sweeps.move(sweep.id, SweepState.CANCELLING)
    cancelled = ledger.sweeps.interrupt_if_undriven(sweep.id, error="gone")
    assert cancelled is not None
    assert cancelled.state is SweepState.CANCELLED
    assert ledger.trials.get(trial.id).state is TrialState.CANCELLED


def test_every_write_of_an_older_driver_is_refused(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    older = ledger.with_lease(ledger.leases.take(sweep.id, holder="a", seconds=30))
    older.sweeps.move(sweep.id, SweepState.RUNNING)
    trial = running_trial(older, sweep)
    newer = ledger.with_lease(ledger.leases.take(sweep.id, holder="a", seconds=30))
    before = (ledger.sweeps.get(sweep.id), ledger.trials.get(trial.id), ledger.outbox.count_unsent(sweep.id))
    writes: list[Callable[[], object]] = [
        lambda: record(older, trial, row(1, 0.5)),
        lambda: older.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.COMPLETED)),
        lambda: running_trial(older, sweep, 1),
        lambda: older.trials.start_attempt(trial.id),
        lambda: older.trials.retry(trial.id, attempt=1, cause=Cause.DIED, error=""),
        lambda: older.sweeps.move(sweep.id, SweepState.COMPLETED),
        lambda: older.sweeps.note(sweep.id, best_trial_id=trial.id),
        lambda: older.trials.note_runs({trial.id: "run"}),
        lambda: older.trials.add_reading(trial.id, epoch=1, split="test", metrics={"loss": 1.0}),
        lambda: older.outbox.put(sweep.id, MessageKind.MODEL, {}),
    ]
    for write in writes:
        with pytest.raises(StaleAttemptError, match="what attempt 1 wrote was refused"):
            write()
    assert (ledger.sweeps.get(sweep.id), ledger.trials.get(trial.id), ledger.outbox.count_unsent(sweep.id)) == before
    assert record(newer, trial, row(1, 0.5)).epochs == 1


@pytest.mark.experiment(24)
def test_a_backup_has_every_row_and_new_rows_get_new_numbers_after_a_restore(
    ledger: Ledger, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    sweep = new_sweep(ledger)
    trial = running_trial(ledger, sweep)
    record(ledger, trial, row(1, 0.5), row(2, math.nan))
    ledger.backup(tmp_path / "backup.zip")
    other = Ledger(new_database(), clock=Ticks())
    other.restore(tmp_path / "backup.zip")
    assert (other.sweeps.list(), other.trials.list(sweep.id)) == (ledger.sweeps.list(), ledger.trials.list(sweep.id))
    assert repr(other.trials.epochs(trial.id)) == repr(ledger.trials.epochs(trial.id))  # nan is not equal to itself
    assert other.outbox.unsent(sweep.id) == ledger.outbox.unsent(sweep.id)
    assert other.history(sweep.id).journal == ledger.history(sweep.id).journal
    assert record(other, trial, row(3, 0.7)).epochs == 3
    with pytest.raises(BackupError, match="the ledger holds 1 sweeps"):
        other.restore(tmp_path / "backup.zip")
    other.close()


@pytest.mark.experiment(24)
def test_a_backup_made_during_writes_shows_one_moment(
    ledger: Ledger, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    sweep = new_sweep(ledger)
    trial = running_trial(ledger, sweep)
    done = threading.Event()

    def write() -> None:
        for epoch in range(1, 60):
            record(ledger, trial, row(epoch, 0.5))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    number = 0
    while not done.is_set():
        ledger.backup(tmp_path / f"{number}.zip")
        number += 1
    writer.join()
    for copy in range(number):
        other = Ledger(new_database(), clock=Ticks())
        other.restore(tmp_path / f"{copy}.zip")
        assert (
            len(other.trials.epochs(trial.id))
            == other.trials.get(trial.id).epochs
            == len(other.history(sweep.id).journal)
        )
        other.close()


@pytest.mark.experiment(24)
@pytest.mark.parametrize("damage", ["cut", "altered", "other"])
def test_a_damaged_backup_leaves_the_ledger_empty(ledger: Ledger, tmp_path: Path, damage: str) -> None:
    record(ledger, running_trial(ledger, new_sweep(ledger)), row(1, 0.5))
    path = tmp_path / "backup.zip"
    ledger.backup(path)
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "altered":
        middle = content.index(b"sweeps.jsonl") + 60
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    else:
        path.write_text("no archive")
    empty = Ledger(f"sqlite:///{tmp_path / 'empty.db'}", clock=Ticks())
    with pytest.raises(BackupError, match=r"backup .*backup\.zip cannot be read: "):
        empty.restore(path)
    assert empty.sweeps.list() == []
    empty.close()


@pytest.mark.parametrize("kind", ["file", "postgresql"])
def test_several_processes_may_open_a_new_ledger_at_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("new_postgresql")()
    code = "import sys; from service.ledgers.ledger import Ledger; Ledger(sys.argv[1], clock=int).close()"
    command = [sys.executable, "-c", code, url]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(process.communicate()[1].decode(), process.returncode) for process in started] == [("", 0)] * 3


def test_a_new_file_waits_for_a_process_that_is_opening_it_too(tmp_path: Path) -> None:
    """SQLite refuses at once, without waiting, to turn on the write-ahead log while another connection is at work."""
    path = tmp_path / "ledger.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE other (x)")
    timer = threading.Timer(0.3, other.execute, ["COMMIT"])
    timer.start()
    Ledger.open_file(path, clock=Ticks()).close()
    timer.join()
    other.close()


def test_the_file_is_in_write_ahead_mode_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger.open_file(path, clock=Ticks()).close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    again = Ledger.open_file(path, clock=Ticks())
    assert again.sweeps.list() == []
    again.close()


def test_a_file_that_is_no_database_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("this is not a database, it is a letter to a friend" * 100)
    with pytest.raises(LedgerError, match=r"ledger\.db: file is not a database"):
        Ledger.open_file(path, clock=Ticks())
