"""Homes that share one ledger, named by MELTPOINT_LEDGER, leave each other's sweeps alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from service.ledgers import Ledger, SweepState
from service.runs.leases import LEASE_SECONDS, driving, mark_interrupted
from service.settings import Home
from service.sweeps import get_status, open_ledger, read_leaderboard
from tests.contracts.ledgers import Ticks, new_sweep


@pytest.fixture(params=["file", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty database that every home uses."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    if request.param == "postgresql":
        make: Callable[[], str] = request.getfixturevalue("new_postgresql")
        url = make()
    monkeypatch.setenv("MELTPOINT_LEDGER", url)
    return url


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Home, Home]:
    return Home(tmp_path / "first").create(), Home(tmp_path / "second").create()


def test_a_live_sweep_of_another_home_is_not_taken_for_interrupted(
    url: str, homes: tuple[Home, Home], clock: Ticks
) -> None:
    """Look at the sweeps as `status`, `trials` and `ls` do."""
    with closing(Ledger.open(homes[0], clock=clock)) as ledger:
        sweeps = [new_sweep(ledger), new_sweep(ledger)]
        for sweep in sweeps:
            ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        with driving(homes[0], ledger, sweeps[0].id), driving(homes[1], ledger, sweeps[1].id):
            for home in homes:
                with open_ledger(home, clock=clock) as opened:
                    for sweep in sweeps:
                        assert get_status(opened, home, sweep.id).sweep.state is SweepState.RUNNING
                        assert read_leaderboard(opened, sweep.id).sweep.state is SweepState.RUNNING


def test_a_dead_driver_is_noticed_by_its_own_home_at_once_and_by_another_after_its_lease(
    url: str, homes: tuple[Home, Home], clock: Ticks
) -> None:
    with closing(Ledger.open(homes[0], clock=clock)) as ledger:
        sweeps = [new_sweep(ledger), new_sweep(ledger)]
        for sweep, home in zip(sweeps, homes, strict=True):
            ledger.sweeps.move(sweep.id, SweepState.RUNNING)
            ledger.leases.take(sweep.id, holder=f"dead-{home.root.name}", seconds=LEASE_SECONDS)
            lock_file = home.sweep(sweep.id) / "driver.lock"
            lock_file.parent.mkdir(parents=True)
            lock_file.write_text(f"dead-{home.root.name}")
        assert [sweep.id for sweep in mark_interrupted(ledger, homes[0])] == [sweeps[0].id]
        assert ledger.sweeps.get(sweeps[1].id).state is SweepState.RUNNING
        clock.now += int(LEASE_SECONDS * 1000)
        assert [sweep.id for sweep in mark_interrupted(ledger, homes[0])] == [sweeps[1].id]
