"""The contribution of earlier sweeps, as `plan` foresees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.ledgers import Ledger
from service.plans.earlier_sweeps import plan_earlier
from service.settings import Home
from tests.service.warm_starts.test_warm_starts import HEAD, run, spec_of


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("MELTPOINT_LEDGER", raising=False)
    return Home(tmp_path / "home").create()


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    ticks = iter(range(1_000_000))
    with closing(Ledger.open(home, clock=lambda: next(ticks))) as opened:
        yield opened


def test_each_earlier_sweep_says_what_fits_and_which_recipes_run_first(home: Home, ledger: Ledger) -> None:
    sweep = run(ledger, spec_of())
    spec = spec_of(", from: [last]", algorithm="tpe")
    earlier = plan_earlier(spec, home)
    assert earlier is not None
    source, first = earlier.lines(spec)
    assert source == (
        f"{sweep.id} (cells): 12 of 12 finished trials lie in this space; TPE is told their values if images "
        "and splits are the same"
    )
    assert first.startswith(f"after the default, these recipes run first: {sweep.id}-")
    assert len(earlier.as_json()["first"]) == 3
    assert earlier.as_json()["sources"][0]["fitting"] == 12


def test_values_of_other_epochs_are_said_not_to_count(home: Home, ledger: Ledger) -> None:
    run(ledger, spec_of())
    spec = spec_of(", from: [last]", algorithm="tpe", head=HEAD.replace("epochs: 2", "epochs: 4"))
    earlier = plan_earlier(spec, home)
    assert earlier is not None
    assert "TPE is not told their values, of 2 epochs, since this sweep has 4" in next(earlier.lines(spec))


def test_a_narrower_space_takes_fewer_and_random_search_learns_nothing(home: Home, ledger: Ledger) -> None:
    run(ledger, spec_of(trials=30))
    spec = spec_of(", from: [last]", head=HEAD.replace("[all, -1, 0]", "[all]"))
    earlier = plan_earlier(spec, home)
    assert earlier is not None
    assert 0 < earlier.sources[0].fitting < 30
    assert "search.algorithm random learns nothing" in next(earlier.lines(spec))


def test_a_sweep_that_is_not_in_this_home_is_said_to_be_missing(home: Home, ledger: Ledger) -> None:
    run(ledger, spec_of())
    spec = spec_of(", from: [s-elsewhere]")
    earlier = plan_earlier(spec, home)
    assert earlier is not None
    (line,) = earlier.lines(spec)
    assert line.startswith("nothing, and `run` would refuse the sweep here: ")
    assert "no sweep s-elsewhere" in line


def test_a_home_without_sweeps_is_not_made(tmp_path: Path) -> None:
    home = Home(tmp_path / "none")
    earlier = plan_earlier(spec_of(", from: [last]"), home)
    assert earlier is not None
    assert earlier.problem == f"no sweeps yet in {home.root}"
    assert not home.root.exists()
    assert plan_earlier(spec_of(), home) is None
