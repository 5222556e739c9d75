"""Lists of sweeps, and a sweep's status and leaderboard, as records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import SweepNotFoundError
from service.ledgers import Ledger, SweepState, TrialCounts
from service.settings import Home
from service.sweeps import CountCache, get_status, list_sweeps, open_ledger, read_leaderboard
from tests.service.sweeps.sweeps import add_sweep, add_trials


def test_sweeps_are_listed_newest_first_with_their_best_value(ledger: Ledger) -> None:
    older, newer = add_sweep(ledger, SweepState.RUNNING), add_sweep(ledger, SweepState.PAUSED)
    add_trials(ledger, older, 0.5, 0.75, 0.25)
    rows = [summary.as_json() for summary in list_sweeps(ledger)]
    assert [(row["sweep_id"], row["state"], row["trials"], row["best_value"]) for row in rows] == [
        (newer.id, "paused", 0, None),
        (older.id, "running", 3, 0.75),
    ]
    assert [summary.sweep.id for summary in list_sweeps(ledger, limit=1)] == [newer.id]
    assert [summary.sweep.id for summary in list_sweeps(ledger, states=[SweepState.RUNNING])] == [older.id]


def test_the_status_counts_trials_messages_and_checkpoints(ledger: Ledger, home: Home) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    best, _ = add_trials(ledger, sweep, 0.75, 0.5)
    folder = home.sweep(sweep.id) / best
    folder.mkdir(parents=True)
    (folder / "epoch-1-abc.safetensors").write_bytes(b"12345")
    status = get_status(ledger, home, "last")
    assert (status.checkpoint_files, status.checkpoint_bytes) == (1, 5)
    facts = status.as_json()
    assert (facts["counts"]["completed"], facts["best"]["trial_id"]) == (2, best)
    assert facts["unsent"] == ledger.outbox.count_unsent(sweep.id) > 0
    assert facts["checkpoints"] == {"files": 1, "bytes": 5}
    assert read_leaderboard(ledger, "cells").trials[0].id == best


def test_a_home_without_a_ledger_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(SweepNotFoundError, match="no sweeps yet in"), open_ledger(Home(tmp_path / "new")):
        pass
    assert not (tmp_path / "new").exists()


def test_a_sweep_whose_driver_has_ended_is_interrupted_when_the_ledger_is_opened(ledger: Ledger, home: Home) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    with open_ledger(home) as opened:
        assert get_status(opened, home, sweep.id).sweep.state is SweepState.INTERRUPTED


def test_counts_of_finished_sweeps_are_kept_until_they_are_resumed(ledger: Ledger) -> None:
    running, done = add_sweep(ledger, SweepState.RUNNING), add_sweep(ledger, SweepState.COMPLETED)
    cache = CountCache(most=1)
    for sweep in (running, done):
        add_trials(ledger, sweep, 0.5)
    assert [line.trial_counts.total for line in list_sweeps(ledger, cache=cache)] == [1, 1]
    asked: list[list[str]] = []
    count = ledger.sweeps.trial_counts

    def count_and_note(sweep_ids: Iterable[str]) -> dict[str, TrialCounts]:
        asked.append(list(sweep_ids))
        return count(asked[-1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger.sweeps, "trial_counts", count_and_note)
        list_sweeps(ledger, cache=cache)
        ledger.sweeps.move(done.id, SweepState.RUNNING)
        list_sweeps(ledger, cache=cache)
    assert [set(ids) for ids in asked] == [{running.id}, {running.id, done.id}]


def test_lists_lack_what_no_list_shows(ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    assert sweep.spec_text
    for states in (None, [SweepState.RUNNING]):
        (line,) = list_sweeps(ledger, states=states, limit=1)
        assert line.sweep == replace(sweep, spec_text="", data={}, settings={})
