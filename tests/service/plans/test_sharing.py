from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import Recipe, SweepSpec, parse_spec
from service.plans.sharing import SharingSurvey, cache_limit
from service.settings import Home

HEAD = "name: a\ndata: {source: digits%s}\n"
POINTS = """\
search:
  algorithm: points
  points:
    - {freeze_depth: all, augment.policy: flip}
    - {freeze_depth: all, augment.policy: flip, optimizer.lr: 0.1}
    - {freeze_depth: -2, augment.policy: flip}
    - {freeze_depth: all, augment.policy: none}
    - {freeze_depth: all, augment.policy: flip, precision: bf16}
    - {freeze_depth: 0, augment.policy: flip}
"""


def spec(text: str, data: str = "") -> SweepSpec:
    return parse_spec(HEAD % data + text, file="folder/s.yaml")


def survey(chosen: SweepSpec, tmp_path: Path) -> SharingSurvey:
    return SharingSurvey.from_spec(chosen, Home(tmp_path), "s-1")


def test_a_trial_is_told_of_those_that_see_the_same_views_and_of_all_readers(tmp_path: Path) -> None:
    chosen = spec(POINTS)
    settings = survey(chosen, tmp_path).settings_for(chosen.points[0])
    assert settings.trials == {9: 2.0, 7: 1.0}
    assert settings.readers == {9: 3.0, 7: 1.0}


def test_draws_of_a_space_add_up_to_its_trials(tmp_path: Path) -> None:
    space = "space: {freeze_depth: {values: [all, -1]}, augment.policy: {values: [none, flip]}}\n"
    settings = survey(spec(space + "budget: {trials: 40}\n"), tmp_path).settings_for(
        Recipe.from_flat({"augment.policy": "flip"})
    )
    assert sum(settings.readers.values()) == pytest.approx(40)
    assert sum(settings.trials.values()) == pytest.approx(20, abs=6)


def test_the_bound_is_the_files_or_a_share_of_the_disk(tmp_path: Path) -> None:
    assert cache_limit(spec(POINTS, ", cache: 3G"), Home(tmp_path)) == 3_000_000_000
    assert cache_limit(spec(POINTS, ", cache: off"), Home(tmp_path)) == 0
    assert 0 < cache_limit(spec(POINTS), Home(tmp_path)) <= 20_000_000_000
