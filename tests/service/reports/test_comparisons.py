"""`meltpoint compare`: differences between two sweeps in a ledger, and reasons not to compare their winners."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from search_spaces import Goal
from service.clocks import now_ms
from service.commands.sweeps.compare import compare
from service.errors import SweepNotFoundError
from service.formats import Format
from service.ledgers import Ending, EpochRow, Ledger, SweepState, TrialState
from service.reports import Comparison, Leaderboard
from service.settings import Home

SPEC = """\
name: NAME
data: {source: digits}
space:
  freeze_depth: {values: [0, 3], default: 3}
  dropout.rate: {min: 0.0, max: 0.5}
"""
DATA: dict[str, Any] = {
    "name": "digits",
    "digest": "d" * 32,
    "image_size": 32,
    "images": 100,
    "classes": {"a": {"val": 10}, "b": {"val": 12}},
    "split": {"val": 0.2, "seed": 0},
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def add(home: Home, name: str, value: float | None, *, text: str = SPEC, seed: int = 0, **data: Any) -> str:
    ledger = Ledger.open_file(home.ledger, clock=now_ms)
    sweep = ledger.sweeps.create(
        name=name,
        spec_text=text.replace("NAME", name),
        spec_file="s.yaml",
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=seed,
        data=DATA | data,
        settings={"search.seed": seed, "space.drawn": []},
    )
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    recipe = {"freeze_depth": 3, "dropout.rate": 0.1 if seed == 0 else 0.2}
    trial = ledger.trials.create(sweep.id, number=0, point={}, recipe=recipe, identity="i", seed=seed)
    trial = ledger.trials.start_attempt(trial.id)
    if value is not None:
        row = EpochRow(epoch=1, seconds=2.5, recorded_at=1, readings={"val": {"accuracy": value}})
        ledger.trials.record_epochs(trial.id, attempt=1, rows=[row], metric="val/accuracy", goal=Goal.MAXIMIZE)
    ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.COMPLETED))
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    ledger.close()
    return sweep.id


def compared(home: Home, first: str, second: str) -> Comparison:
    ledger = Ledger.open_file(home.ledger, clock=now_ms)
    boards = [Leaderboard.read(ledger, ledger.sweeps.find(name)) for name in (first, second)]
    ledger.close()
    return Comparison(first=boards[0], second=boards[1])


def by_name(comparison: Comparison, section: str) -> dict[str, tuple[Any, Any]]:
    chosen = [difference for difference in comparison.differences() if difference.section == section]
    return {difference.name: (difference.first, difference.second) for difference in chosen}


def test_a_sweep_differs_from_its_repetition_in_nothing_but_cost_and_value(home: Home) -> None:
    add(home, "one", 0.5)
    add(home, "two", 0.75)
    comparison = compared(home, "one", "two")
    assert [by_name(comparison, section) for section in ("data", "space", "settings", "recipe")] == [{}, {}, {}, {}]
    assert comparison.obstacles == []
    assert comparison.gap == pytest.approx(-0.25)
    assert by_name(comparison, "winner")["val/accuracy"] == (0.5, 0.75)
    assert by_name(comparison, "cost")["worker seconds"] == (2.5, 2.5)


def test_spaces_differ_by_entries_added_removed_and_changed(home: Home) -> None:
    text = SPEC.replace("max: 0.5", "max: 0.3").replace("  freeze_depth: {values: [0, 3], default: 3}\n", "")
    add(home, "one", 0.5)
    add(home, "two", 0.5, text=text + "  batch_size: {values: [16, 32]}\n", seed=1)
    comparison = compared(home, "one", "two")
    assert by_name(comparison, "space") == {
        "freeze_depth": ("one of 0, 3 (default 3)", None),
        "dropout.rate": ("0 to 0.5", "0 to 0.3"),
        "batch_size": (None, "one of 16, 32"),
    }
    assert by_name(comparison, "settings") == {"search.seed": (0, 1)}
    assert by_name(comparison, "recipe") == {"dropout.rate": (0.1, 0.2)}


def test_winners_on_other_images_cannot_be_compared_for_a_reason_shown(home: Home) -> None:
    add(home, "one", 0.5)
    add(home, "two", None, digest="e" * 32, split={"val": 0.3, "seed": 0})
    comparison = compared(home, "one", "two")
    assert comparison.obstacles == [
        "they read different images: another split",
        f"{comparison.second.sweep.id} has no trial with a value",
    ]
    assert by_name(comparison, "data")["split.val"] == (0.2, 0.3)


def test_every_format_says_the_same(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = add(home, "one", 0.5), add(home, "two", 0.75, seed=1)
    compare("one", "two", Format.TABLE, home=home.root)
    assert f"{second} is better by 0.2500 in val/accuracy, on the same 22 validation images" in capsys.readouterr().out
    compare("one", "two", Format.JSON, home=home.root)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["one"], printed["other"], printed["comparable"]) == (first, second, True)
    assert {"name": "search.seed", "one": 0, "other": 1} in printed["settings"]
    compare("one", "two", Format.CSV, home=home.root)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {"section": "recipe", "name": "dropout.rate", first: "0.1", second: "0.2"} in rows


def test_a_spec_that_this_version_cannot_read_is_shown_and_stops_nothing(home: Home) -> None:
    add(home, "one", 0.5)
    add(home, "two", 0.5, text="name: NAME\nfuture: {}\n")
    assert "(not readable by this version)" in by_name(compared(home, "one", "two"), "space")


def test_an_unknown_sweep_is_refused(home: Home) -> None:
    add(home, "one", 0.5)
    with pytest.raises(SweepNotFoundError, match="no sweep three"):
        compare("one", "three", Format.TABLE, home=home.root)
