"""The ledger's contract, over each backend."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import LedgerError, StaleAttemptError, SweepNotFoundError, TransitionError
from service.ledgers import Ledger
from service.records import Ending, EpochRow, Sweep, Trial
from service.states import SweepState, TrialState


class Ticks:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        self.now += 1
        return self.now


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.at(tmp_path / "ledger.db", clock=Ticks())
    yield ledger
    ledger.close()


def new_sweep(ledger: Ledger, name: str = "cells") -> Sweep:
    return ledger.create_sweep(
        name=name, spec_text="", spec_file="s.yaml", metric="val/accuracy", goal="maximize", seed=0, data={}, plan={}
    )


def running_trial(ledger: Ledger, sweep: Sweep, number: int = 0) -> Trial:
    trial = ledger.create_trial(sweep.id, number=number, point={}, recipe={}, identity=str(number), seed=0)
    return ledger.start_attempt(trial.id)


def row(epoch: int, accuracy: float) -> EpochRow:
    readings = {"train": {"loss": 1.0}, "val": {"accuracy": accuracy}}
    return EpochRow(epoch=epoch, seconds=0.5, recorded_at=epoch, readings=readings)


def record(ledger: Ledger, trial: Trial, *rows: EpochRow, attempt: int = 1) -> Trial:
    return ledger.record_epochs(trial.id, attempt=attempt, rows=rows, metric="val/accuracy", maximize=True)


def test_a_sweep_is_found_by_id_prefix_name_and_last(ledger: Ledger) -> None:
    first, second = new_sweep(ledger, "cells"), new_sweep(ledger, "birds")
    assert ledger.find_sweep(first.id) == first
    assert ledger.find_sweep(first.id[:-1]) == first
    assert ledger.find_sweep("birds") == second
    assert ledger.find_sweep("last") == second
    with pytest.raises(SweepNotFoundError, match="fits 2 sweeps"):
        ledger.find_sweep("s-")
    with pytest.raises(SweepNotFoundError, match="no sweep fish; `meltpoint ls` lists the 2"):
        ledger.find_sweep("fish")


def test_the_name_of_several_sweeps_is_the_newest(ledger: Ledger) -> None:
    new_sweep(ledger, "cells")
    newest = new_sweep(ledger, "cells")
    assert ledger.find_sweep("cells") == newest


def test_an_epoch_counts_once_and_the_best_is_the_first_best(ledger: Ledger) -> None:
    trial = running_trial(ledger, new_sweep(ledger))
    record(ledger, trial, row(1, 0.5), row(2, 0.8))
    after = record(ledger, trial, row(2, 0.9), row(3, 0.8))
    assert (after.epochs, after.best_epoch, after.best_value) == (3, 2, 0.8)
    assert [r.metrics()["val/accuracy"] for r in ledger.epochs(trial.id)] == [0.5, 0.8, 0.8]


def test_a_value_that_is_not_a_number_is_kept_but_never_best(ledger: Ledger) -> None:
    trial = running_trial(ledger, new_sweep(ledger))
    after = record(ledger, trial, row(1, math.nan))
    assert after.best_value is None
    assert math.isnan(ledger.epochs(trial.id)[0].metrics()["val/accuracy"])


def test_an_older_attempt_is_refused(ledger: Ledger) -> None:
    trial = running_trial(ledger, new_sweep(ledger))
    with pytest.raises(StaleAttemptError, match="a result of attempt 0 was refused"):
        record(ledger, trial, row(1, 0.5), attempt=0)
    assert ledger.epochs(trial.id) == []


def test_a_finished_trial_never_changes(ledger: Ledger) -> None:
    trial = running_trial(ledger, new_sweep(ledger))
    done = ledger.finish_trial(trial.id, attempt=1, ending=Ending(state=TrialState.COMPLETED))
    with pytest.raises(StaleAttemptError):
        record(ledger, trial, row(1, 0.5))
    with pytest.raises(StaleAttemptError):
        ledger.finish_trial(trial.id, attempt=1, ending=Ending(state=TrialState.FAILED))
    assert ledger.trial(trial.id) == done


def test_a_finished_sweep_takes_no_other_state(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.move_sweep(sweep.id, SweepState.RUNNING)
    ledger.move_sweep(sweep.id, SweepState.COMPLETED)
    with pytest.raises(TransitionError, match="is completed; it cannot become running"):
        ledger.move_sweep(sweep.id, SweepState.RUNNING)


def test_the_outbox_keeps_order_until_sent(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.move_sweep(sweep.id, SweepState.RUNNING)
    trial = running_trial(ledger, sweep)
    record(ledger, trial, row(1, 0.5), row(2, 0.6))
    ledger.finish_trial(trial.id, attempt=1, ending=Ending(state=TrialState.PRUNED))
    waiting = ledger.outbox.waiting(sweep.id)
    assert [m.kind for m in waiting] == ["sweep_running", "trial_started", "epochs", "trial_finished"]
    assert waiting[2].payload == {"first": 1, "last": 2}
    ledger.outbox.sent(waiting[0].id)
    ledger.outbox.not_sent(waiting[1].id, error="no answer")
    first = ledger.outbox.waiting(sweep.id)[0]
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
    assert [t.epochs for t in ledger.trials(sweep.id)] == [10, 10, 10, 10]


@pytest.mark.parametrize("turn", range(10))
def test_of_two_that_finish_a_trial_at_once_one_is_refused(ledger: Ledger, turn: int) -> None:
    trial = running_trial(ledger, new_sweep(ledger))
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def finish(state: TrialState) -> None:
        together.wait()
        try:
            outcomes.append(ledger.finish_trial(trial.id, attempt=1, ending=Ending(state=state)).state)
        except StaleAttemptError:
            outcomes.append("refused")

    threads = [threading.Thread(target=finish, args=(s,)) for s in (TrialState.COMPLETED, TrialState.FAILED)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("refused") == 1
    assert ledger.trial(trial.id).state in outcomes


def test_an_interrupted_sweep_pauses_its_running_trials(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    ledger.move_sweep(sweep.id, SweepState.RUNNING)
    running, done = running_trial(ledger, sweep, 0), running_trial(ledger, sweep, 1)
    ledger.finish_trial(done.id, attempt=1, ending=Ending(state=TrialState.COMPLETED))
    ledger.move_sweep(sweep.id, SweepState.INTERRUPTED, error="gone")
    assert ledger.trial(running.id).state is TrialState.PAUSED
    assert ledger.trial(done.id).state is TrialState.COMPLETED


def test_several_processes_may_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    code = "import sys; from service.ledgers import Ledger; Ledger(sys.argv[1], clock=int).close()"
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path / 'ledger.db'}"]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(process.communicate()[1].decode(), process.returncode) for process in started] == [("", 0)] * 3


def test_the_file_is_in_write_ahead_mode_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger.at(path, clock=Ticks()).close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    again = Ledger.at(path, clock=Ticks())
    assert again.sweeps() == []
    again.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger.at(path, clock=Ticks()).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meltpoint_schema SET version_num = '9999'")
    connection.close()
    with pytest.raises(LedgerError, match=r"schema \(9999\) is newer than this version"):
        Ledger.at(path, clock=Ticks())


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("this is not a database, it is a letter to a friend" * 100)
    with pytest.raises(LedgerError, match=r"ledger\.db: file is not a database"):
        Ledger.at(path, clock=Ticks())
