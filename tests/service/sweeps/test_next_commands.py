"""The command that follows a look at a sweep: it must work if it is typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.ledgers import Ledger, Sweep, SweepState
from service.reports import Leaderboard
from service.terminals.next_commands import next_command
from tests.service.confirmations.searched_sweeps import SearchedSweep
from tests.service.sweeps.sweeps import add_sweep

GOOD = {0.0: 0.60, 0.25: 0.85}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open_file(tmp_path / "ledger.db", clock=lambda: 1)
    yield opened
    opened.close()


def command_after(ledger: Ledger, sweep: Sweep, *, is_remote: bool = False, is_decided: bool = False) -> str:
    row = ledger.sweeps.get(sweep.id)
    board = Leaderboard.read(ledger, row)
    return next_command(row, board, is_remote=is_remote, otherwise="trials", is_decided=is_decided)


def test_a_finished_search_is_to_be_confirmed_and_a_decided_one_exported(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    assert command_after(ledger, searched.sweep) == "confirm"
    assert command_after(ledger, searched.sweep, is_decided=True) == "export"
    ledger.sweeps.note(searched.sweep.id, confirmation={"decision": {}})
    assert command_after(ledger, searched.sweep) == "export"


def test_a_sweep_that_cannot_be_confirmed_is_not_sent_there(ledger: Ledger) -> None:
    only_default = SearchedSweep(ledger, {0.0: 0.6})
    assert command_after(ledger, only_default.sweep) == "trials"
    without_images = SearchedSweep(ledger, GOOD)
    ledger.sweeps.note(without_images.sweep.id, data={"classes": {"a": {"val": 10, "confirm": 0}}})
    assert command_after(ledger, without_images.sweep) == "trials"


def test_a_service_confirms_only_the_sweeps_of_its_users(ledger: Ledger) -> None:
    assert command_after(ledger, SearchedSweep(ledger, GOOD).sweep, is_remote=True) == "trials"
    assert command_after(ledger, SearchedSweep(ledger, GOOD, owner="ada").sweep, is_remote=True) == "confirm"


def test_a_sweep_that_rests_is_resumed_and_one_under_way_is_left_alone(ledger: Ledger) -> None:
    assert command_after(ledger, add_sweep(ledger, SweepState.PAUSED)) == "resume"
    assert command_after(ledger, add_sweep(ledger, SweepState.RUNNING)) == "trials"
