"""The decision, on evidence that is made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from service.confirmations import ConfirmRule, Decision, Doubt, Outcome, SearchEvidence, decide
from tests.service.confirmations.evidence import RULE, decided, ranked, retrained, searched


def test_a_clearly_better_finalist_wins() -> None:
    decision = decided(retrained(0, 0.6), retrained(1, 0.8), retrained(2, 0.7))
    assert (decision.outcome, decision.winner, decision.recipe) == (Outcome.WINNER, "r1", "r1")
    assert decision.doubt is None
    assert decision.probability is not None
    assert decision.probability > 0.99
    assert decision.score is not None
    assert decision.low is not None
    assert decision.high is not None
    assert decision.low < decision.score < decision.high
    assert (decision.retrainings, decision.seeds, decision.val_images, decision.confirm_images) == (12, 4, 400, 200)


def test_a_finalist_that_breaks_a_limit_is_no_leader_and_wins_neither_as_the_cheapest() -> None:
    best = replace(retrained(1, 0.85), breaks="val/ece 0.2 > 0.1", cost=0.1)
    decision = decided(retrained(0, 0.6), best, retrained(2, 0.8))
    assert (decision.outcome, decision.leader, decision.winner) == (Outcome.WINNER, "r2", "r2")
    assert decision.finalist("r1").recipe.breaks == "val/ece 0.2 > 0.1"
    assert decision.finalist("r1").probability is not None


def test_without_a_finalist_that_keeps_the_limits_the_default_stands() -> None:
    broken = [replace(retrained(number, 0.85), breaks="val/ece 0.2 > 0.1") for number in (1, 2)]
    decision = decided(retrained(0, 0.6), *broken)
    assert (decision.outcome, decision.doubt, decision.leader) == (Outcome.DEFAULT_BEST, Doubt.LIMITS_BROKEN, None)
    assert decision.recipe == "r0"
    assert decision.low is not None
    assert Decision.from_json(json.loads(json.dumps(decision.as_json()))) == decision


def test_the_score_of_the_winner_comes_from_confirmation_images_alone() -> None:
    winner = retrained(1, 0.9)
    decision = decided(retrained(0, 0.6), winner)
    assert decision.score == pytest.approx(winner.confirm.mean())
    assert decision.naive == pytest.approx(winner.val[0].mean())
    assert decision.finalists[0].recipe.pooled_mean == pytest.approx(winner.pooled.mean())


def test_a_lead_that_chance_explains_leaves_the_default_and_names_the_images_that_are_missing() -> None:
    decision = decided(retrained(0, 0.75), retrained(4, 0.76))
    assert (decision.outcome, decision.winner, decision.recipe) == (Outcome.DEFAULT_STANDS, None, "r0")
    assert decision.leader == "r4"
    assert decision.finalists[0].low < 0 < decision.finalists[0].lead < decision.finalists[0].high
    assert decision.needed_images is not None
    assert decision.needed_images > decision.val_images + decision.confirm_images


def test_a_default_that_no_finalist_beats_is_the_best() -> None:
    decision = decided(retrained(0, 0.8), retrained(1, 0.7), retrained(2, 0.6))
    assert (decision.outcome, decision.recipe, decision.leader) == (Outcome.DEFAULT_BEST, "r0", "r1")
    assert decision.needed_images is None


def test_one_finalist_is_enough() -> None:
    decision = decided(retrained(0, 0.6), retrained(1, 0.8))
    assert (decision.outcome, decision.winner, decision.retrainings) == (Outcome.WINNER, "r1", 8)


def test_a_search_that_finished_only_the_default_keeps_it_and_gives_its_interval() -> None:
    (default,) = ranked([retrained(0, 0.8)])
    decision = decide(searched([default]), default, [], RULE, seed=7)
    assert (decision.outcome, decision.doubt) == (Outcome.DEFAULT_BEST, Doubt.NO_FINALISTS)
    assert (decision.recipe, decision.leader, decision.probability) == ("r0", None, None)
    assert decision.low is not None


def test_a_default_that_did_not_finish_the_search_takes_part() -> None:
    finalists = ranked([retrained(1, 0.8), retrained(2, 0.7)])
    decision = decide(searched(finalists), retrained(0, 0.6), finalists, RULE, seed=7)
    assert (decision.winner, decision.default.rank, decision.default.naive) == ("r1", None, None)


def test_equal_leads_go_to_the_better_rank() -> None:
    default, finalist = retrained(0, 0.6), retrained(1, 0.8)
    twin = replace(finalist, identity="r2", trial_number=2)
    assert decided(default, finalist, twin).leader == "r1"
    assert decided(default, twin, finalist).leader == "r2"


def test_identical_predictions_are_named_and_nothing_is_divided_by() -> None:
    default = retrained(0, 0.75)
    decision = decided(default, replace(default, identity="r1", trial_number=1))
    assert (decision.outcome, decision.doubt) == (Outcome.DEFAULT_BEST, Doubt.IDENTICAL_PREDICTIONS)
    assert decision.probability is None
    assert decision.finalists[0].lead == 0


def test_all_right_answers_have_an_interval_below_one() -> None:
    default, finalist = retrained(0, 0.5), retrained(1, 0.5)
    perfect = replace(finalist, val=np.ones_like(finalist.val), confirm=np.ones_like(finalist.confirm))
    decision = decided(default, perfect)
    assert (decision.winner, decision.score, decision.high) == ("r1", 1.0, 1.0)
    assert decision.low is not None
    assert 0.97 < decision.low < 1


def test_a_perfect_default_and_a_perfect_finalist_are_not_told_apart() -> None:
    first, second = retrained(0, 0.5), retrained(1, 0.5)
    perfect = [
        replace(recipe, val=np.ones_like(recipe.val), confirm=np.ones_like(recipe.confirm))
        for recipe in (first, second)
    ]
    assert decided(*perfect).doubt is Doubt.IDENTICAL_PREDICTIONS


@pytest.mark.parametrize(
    ("val", "confirm", "outcome", "doubt"),
    [
        (400, 59, Outcome.NO_CLAIM, Doubt.FEW_IMAGES_FOR_CLAIM),
        (59, 60, Outcome.DEFAULT_STANDS, Doubt.FEW_IMAGES_FOR_PROBABILITY),
        (60, 60, Outcome.WINNER, None),
    ],
)
def test_few_images_give_no_probability(val: int, confirm: int, outcome: Outcome, doubt: Doubt | None) -> None:
    default, finalist = (
        retrained(number, accuracy, val=val, confirm=confirm) for number, accuracy in ((0, 0.5), (1, 0.95))
    )
    decision = decided(default, finalist)
    assert (decision.outcome, decision.doubt) == (outcome, doubt)
    assert (decision.probability is None) == (doubt is not None)
    assert (decision.low is None) == (outcome is Outcome.NO_CLAIM)
    assert decision.recipe == ("r1" if outcome is Outcome.WINNER else "r0")


@pytest.mark.parametrize("seeds", [0, 1])
def test_fewer_than_two_seeds_give_no_claim(seeds: int) -> None:
    decision = decide(
        searched([retrained(1, 0.9, rank=1)]),
        retrained(0, 0.6, seeds=seeds),
        [retrained(1, 0.9, rank=1, seeds=seeds)],
        RULE,
        seed=7,
    )
    assert (decision.outcome, decision.doubt, decision.recipe) == (Outcome.NO_CLAIM, Doubt.FEW_SEEDS, "r0")


def test_a_seed_that_failed_is_dropped_for_all_and_the_trainings_that_were_spent_are_shown() -> None:
    recipes = ranked([retrained(1, 0.9, seeds=3), retrained(0, 0.6, seeds=3)])
    decision = decide(searched(recipes), recipes[1], recipes[:1], RULE, seed=7, retrainings=9)
    assert (decision.winner, decision.seeds, decision.retrainings) == ("r1", 3, 9)


def test_a_cheaper_recipe_is_taken_only_if_it_passes_the_gate_and_loses_little() -> None:
    default, leader = retrained(0, 0.5), retrained(1, 0.8, cost=2.0)
    near = replace(leader, identity="r2", trial_number=2, cost=1.0, val=leader.val.copy())
    near.val[0, np.flatnonzero(near.val[0])[0]] = 0.0
    decision = decided(default, leader, near)
    assert (decision.leader, decision.winner) == ("r1", "r2")
    assert decision.expected_shortfall is not None
    assert 0 < decision.expected_shortfall <= RULE.tolerance
    assert decided(default, leader, near, rule=ConfirmRule(tolerance=0.0)).winner == "r1"
    assert decided(default, leader, replace(near, cost=2.0)).winner == "r1"
    far = retrained(3, 0.7, cost=1.0)
    assert decided(default, leader, far).winner == "r1"


def test_scores_without_bounds_have_a_symmetric_interval() -> None:
    recipes = ranked([retrained(1, 0.9), retrained(0, 0.6)])
    losses = [
        replace(recipe, val=-3.0 * (1.0 - recipe.val), confirm=-3.0 * (1.0 - recipe.confirm)) for recipe in recipes
    ]
    decision = decide(searched(losses), losses[1], losses[:1], RULE, seed=7, bounded=False)
    assert decision.winner == "r1"
    assert decision.score is not None
    assert decision.low is not None
    assert decision.high is not None
    assert decision.score < 0
    assert decision.score - decision.low == pytest.approx(decision.high - decision.score)


def test_a_decision_survives_json() -> None:
    decision = decided(retrained(0, 0.6), retrained(1, 0.8), retrained(2, 0.7))
    text = json.dumps(decision.as_json(), sort_keys=True)
    assert Decision.from_json(json.loads(text)) == decision
    again = decided(retrained(0, 0.6), retrained(1, 0.8), retrained(2, 0.7))
    assert json.dumps(again.as_json(), sort_keys=True) == text


@pytest.mark.parametrize(
    ("setting", "value"),
    [("top_k", 0), ("seeds", 1), ("gate", 0.4), ("gate", 1.0), ("tolerance", -0.1), ("confidence", 1.0)],
)
def test_a_rule_out_of_range_is_refused(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{setting} must be"):
        ConfirmRule(**{setting: value})  # type: ignore[arg-type]


def test_evidence_that_does_not_match_is_refused() -> None:
    first, second = ranked([retrained(1, 0.8), retrained(2, 0.7)])
    search, default = searched([first, second]), retrained(0, 0.6)
    with pytest.raises(ValueError, match="different recipes"):
        decide(search, default, [first, first], RULE, seed=7)
    with pytest.raises(ValueError, match="rank 2 of the search"):
        decide(search, default, [replace(first, rank=2)], RULE, seed=7)
    with pytest.raises(ValueError, match="rank must be 1 to 2"):
        decide(search, default, [replace(first, rank=None)], RULE, seed=7)
    with pytest.raises(ValueError, match="same seeds"):
        decide(search, retrained(0, 0.6, seeds=3), [first], RULE, seed=7)
    with pytest.raises(ValueError, match="same images"):
        decide(search, retrained(0, 0.6, val=399), [first], RULE, seed=7)


def test_equal_recipes_and_scores_that_are_not_finite_are_refused() -> None:
    first = retrained(1, 0.8)
    with pytest.raises(ValueError, match="must be merged"):
        SearchEvidence(identities=["a", "a"], scores=first.val[:2], naive=[0.5, 0.4])
    with pytest.raises(ValueError, match="val must be finite"):
        replace(first, val=np.where(first.val > 0, np.nan, first.val))
    with pytest.raises(ValueError, match="scores must be finite"):
        SearchEvidence(identities=["a"], scores=np.array([[np.nan, 1.0]]), naive=[0.5])
