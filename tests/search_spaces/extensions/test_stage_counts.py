"""Sweep files with own backbones in a process that must not import them: their freeze depths stay open."""

from __future__ import annotations

import pytest

from search_spaces import MeltpointError, SpecError, SweepSpec, own_code_used, parse_spec
from search_spaces.extensions import stage_counts, without_counting

HEAD = "name: cells\ndata: {source: digits}\n"
POINTS = "search: {algorithm: points, points: [{backbone: 'mine:net', freeze_depth: -1}, {freeze_depth: 0}]}\n"
SPACE = "space: {backbone: 'mine:net', freeze_depth: {values: [all, -1, 0]}}\n"
SEARCHES = {
    "points": POINTS,
    "points of a space": SPACE + "search: {algorithm: points, points: [{freeze_depth: -1}, {}]}\n",
    "random": SPACE + "search: {algorithm: random}\nbudget: {trials: 2}\n",
    "grid": SPACE + "search: {algorithm: grid}\nbudget: {trials: 2}\n",
}


@pytest.fixture(autouse=True)
def _no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be counted that a test does not count itself."""
    monkeypatch.setattr(stage_counts, "_counters", [])
    monkeypatch.setattr(stage_counts, "_counted", {})


def read(text: str) -> SweepSpec:
    return parse_spec(HEAD + text, file="sweep.yaml")


@pytest.mark.parametrize("text", SEARCHES.values(), ids=SEARCHES)
def test_depths_stay_open_where_nothing_may_be_counted(text: str) -> None:
    with without_counting():
        assert read(text).budget.trials == 2
    with pytest.raises(MeltpointError, match="mine:net can be counted only by a program that imports"):
        read(text)


@pytest.mark.parametrize("text", [POINTS, SEARCHES["points of a space"]])
def test_points_with_open_depths_name_their_own_code(text: str) -> None:
    with without_counting():
        assert ("backbone", "mine:net") in own_code_used(read(text))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("{backbone: 'mine:net', freeze_dept: 1}", r"points\[0\].freeze_dept: unknown name; did you mean freeze_depth"),
        ("{backbone: 'mine:net'}, {freeze_depth: 99}", r"points\[1\].freeze_depth: must lie in"),
        ("{backbone: 'mine:net', batch_size: -1}", r"points\[0\].batch_size"),
    ],
)
def test_other_problems_are_found_all_the_same(wrong: str, message: str) -> None:
    with without_counting(), pytest.raises(SpecError, match=message):
        read(f"search: {{algorithm: points, points: [{wrong}]}}\n")


def test_a_program_that_counts_checks_the_depths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_counts, "_counters", [lambda _name, _folder: 3])
    assert [recipe.freeze_depth for recipe in read(POINTS).points] == [2, 0]
    with pytest.raises(SpecError, match=r"must lie in -3..3, or be all: mine:net has 3 stages \(-4\)"):
        read(POINTS.replace("-1", "-4"))
