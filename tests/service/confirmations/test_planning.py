"""Plans of confirmations: what cannot be confirmed says why, with the way out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from search_spaces import parse_spec
from service.confirmations import ConfirmRule
from service.confirmations.planning import default_recipe, plan_confirmation, rule_of
from service.errors import ConfirmationError
from service.ledgers import Ledger
from tests.service.confirmations.searched_sweeps import SPEC, SearchedSweep


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open_file(tmp_path / "ledger.db", clock=lambda: 1)
    yield opened
    opened.close()


def test_a_sweep_whose_only_recipe_is_the_default_has_nothing_to_confirm(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, {0.0: 0.8})
    with pytest.raises(ConfirmationError, match="nothing to confirm: the default is its only finished recipe"):
        searched.plan()


def test_a_sweep_without_a_finished_trial_has_nothing_to_confirm(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, {})
    with pytest.raises(ConfirmationError, match=r"none of its trials has finished.*--set budget\.trials=8"):
        searched.plan()


@pytest.mark.parametrize("chances", [{0.0: 0.8, 0.25: 0.9}, {0.0: 0.8}], ids=["two recipes", "the default alone"])
def test_a_sweep_without_confirmation_images_is_told_how_to_get_some(
    ledger: Ledger, chances: dict[float, float]
) -> None:
    """More trials would not help it."""
    searched = SearchedSweep(ledger, chances)
    for counts in searched.sweep.data["classes"].values():
        counts["confirm"] = 0
    with pytest.raises(ConfirmationError, match=r"meltpoint run sweep\.yaml --set data\.split\.confirm=0\.1"):
        plan_confirmation(ledger, searched.sweep, searched.spec, ConfirmRule())


def test_a_sweep_of_a_service_is_submitted_again_not_run(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, {0.0: 0.8}, owner="ada")
    for counts in searched.sweep.data["classes"].values():
        counts["confirm"] = 0
    with pytest.raises(ConfirmationError, match=r": meltpoint submit sweep\.yaml --set data\.split\.confirm=0\.1$"):
        plan_confirmation(ledger, searched.sweep, searched.spec, ConfirmRule())


def test_the_rule_is_that_of_the_sweep_file() -> None:
    assert rule_of(parse_spec(SPEC, file="s.yaml")) == ConfirmRule()
    text = SPEC + "confirm: {top_k: 2, seeds: 5, gate: 0.95, tolerance: 0.01}\n"
    assert rule_of(parse_spec(text, file="s.yaml")) == ConfirmRule(top_k=2, seeds=5, gate=0.95, tolerance=0.01)


def test_of_explicit_points_the_first_is_the_default() -> None:
    text = """
name: points
data: {source: digits, image_size: 16}
search: {algorithm: points, points: [{dropout.rate: 0.3}, {dropout.rate: 0.1}]}
"""
    assert default_recipe(parse_spec(text, file="s.yaml")).dropout.rate == 0.3
