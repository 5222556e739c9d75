"""Plans of confirmations: what cannot be confirmed says why, with the way out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from search_spaces import parse_spec
from service.confirmations import ConfirmRule
from service.confirmations.planning import default_recipe, plan_confirmation, rule_of, why_not_confirmable
from service.errors import ConfirmationError
from service.ledgers import Ledger, SweepState
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


def test_the_command_that_starts_a_sweep_again_redoes_what_the_user_did(ledger: Ledger) -> None:
    kept = parse_spec(SPEC, file="sweep.yaml", assign=["budget.trials=6", "data.split.confirm=0", "name=my-cells"])
    searched = SearchedSweep(ledger, {0.0: 0.8, 0.25: 0.9}, spec=kept.text, owner="ada")
    sweep = ledger.sweeps.submit(
        name="cells",
        spec_text=kept.text,
        spec_file="my sweeps/sweep.yaml",
        metric=kept.metric.name,
        goal=kept.metric.goal,
        seed=3,
        settings={},
        owner="ada",
        priority=-2,
        slot_cap=1,
    )[0]
    assert sweep.start_command == (
        "meltpoint submit 'my sweeps/sweep.yaml' --set budget.trials=6 --set data.split.confirm=0 --set name=my-cells "
        "--priority -2 --slots 1"
    )
    for counts in searched.sweep.data["classes"].values():
        counts["confirm"] = 0
    again = "meltpoint submit sweep.yaml --set budget.trials=6 --set name=my-cells --set data.split.confirm=0.1"
    with pytest.raises(ConfirmationError, match=f": {re.escape(again)}$"):
        plan_confirmation(ledger, searched.sweep, searched.spec, ConfirmRule())


def test_a_sweep_that_has_tried_every_recipe_is_not_told_to_resume(ledger: Ledger) -> None:
    spec = SPEC.replace("{min: 0.0, max: 0.9, default: 0.0}", "0.0")
    searched = SearchedSweep(ledger, {0.0: 0.8}, spec=spec)
    again = r"widen the space in sweep\.yaml, and start another sweep: meltpoint run sweep\.yaml$"
    with pytest.raises(ConfirmationError, match=again):
        searched.plan()


@pytest.mark.parametrize("state", [SweepState.RUNNING, SweepState.PAUSED, SweepState.CANCELLED])
def test_a_search_that_has_not_ended_cannot_be_confirmed(ledger: Ledger, state: SweepState) -> None:
    searched = SearchedSweep(ledger, {0.0: 0.8, 0.25: 0.9})
    sweep, trials = replace(searched.sweep, state=state), ledger.trials.list(searched.sweep.id)
    obstacle = why_not_confirmable(sweep, trials, is_remote=False)
    way = {"running": "watch", "paused": "resume", "cancelled": "run"}[state.value]
    assert obstacle is not None
    assert f"meltpoint {way} " in obstacle


def test_a_sweep_is_confirmable_if_a_confirmation_of_it_can_be_planned(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, {0.0: 0.8, 0.25: 0.9})
    trials = ledger.trials.list(searched.sweep.id)
    assert why_not_confirmable(searched.sweep, trials, is_remote=False) is None
    assert "confirm it where it ran" in (why_not_confirmable(searched.sweep, trials, is_remote=True) or "")
    assert "the default is its only" in (why_not_confirmable(searched.sweep, trials[:1], is_remote=False) or "")
    searched.plan()
    begun = ledger.sweeps.get(searched.sweep.id)
    assert why_not_confirmable(begun, trials[:1], is_remote=False) is None


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
