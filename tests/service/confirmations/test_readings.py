"""The decision from the ledger's rows: the same rows give the same bytes, and failed retrainings cost no honesty."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search_spaces import Recipe
from service.confirmations import Confirmation, Doubt, Outcome, RetrainingCounts, missing_retrainings
from service.confirmations.readings import (
    compute_decision,
    decided_measure,
    read_search,
    read_test_scores,
    retrainings_of,
)
from service.errors import ConfirmationError
from service.ledgers import Ending, Ledger, TrialPhase, TrialState
from tests.service.confirmations.searched_sweeps import SPEC, SPLITS, SearchedSweep
from trainables.training.predictions import pack

GOOD = {0.0: 0.60, 0.25: 0.85, 0.5: 0.62, 0.75: 0.55}
EVEN = {0.0: 0.80, 0.25: 0.80, 0.5: 0.80}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open_file(tmp_path / "ledger.db", clock=lambda: 1)
    yield opened
    opened.close()


def rate_of(confirmation: Confirmation, identity: str) -> float:
    return float(confirmation.contender(identity).recipe["dropout.rate"])


def test_a_clearly_better_recipe_wins(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=3)
    searched.retrain(confirmation)
    decision = compute_decision(ledger, searched.sweep, confirmation)
    assert decision.outcome is Outcome.WINNER
    assert rate_of(confirmation, decision.recipe) == 0.25
    assert (decision.seeds, decision.retrainings) == (3, 12)
    assert (decision.val_images, decision.confirm_images) == (SPLITS["val"], SPLITS["confirm"])
    assert decision.low is not None
    assert decision.high is not None
    assert decision.low < 0.85 < decision.high


def test_limits_are_those_of_the_means_over_the_fresh_seeds(ledger: Ledger) -> None:
    """Expect a loss of about 1.05 at an accuracy of 0.6, and of 0.54 at 0.85; the search knew of no limit."""
    spec = SPEC + "metric: [{name: val/accuracy}, {name: val/loss, max: 0.7}]\n"
    searched = SearchedSweep(ledger, GOOD, spec=spec)
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation)
    decision = compute_decision(ledger, searched.sweep, confirmation)
    assert decision.default.breaks is not None
    assert decision.default.breaks.startswith("val/loss 1.")
    winner = decision.finalist(decision.winner or "")
    assert (rate_of(confirmation, winner.recipe.identity), winner.recipe.breaks) == (0.25, None)
    others = [finalist.recipe for finalist in decision.finalists if finalist is not winner]
    assert all(recipe.breaks is not None for recipe in others)


def test_retrainings_are_counted_once_each_and_cancelled_ones_not(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=2, top_k=1)
    begun = ledger.trials.list(searched.sweep.id, TrialPhase.CONFIRM)
    assert RetrainingCounts.count(confirmation, begun) == RetrainingCounts(finished=0, planned=4)
    searched.retrain(confirmation, failing=[(0.25, 0)])
    begun = ledger.trials.list(searched.sweep.id, TrialPhase.CONFIRM)
    assert RetrainingCounts.count(confirmation, begun) == RetrainingCounts(finished=5, planned=5)
    cancelled = [replace(begun[0], state=TrialState.CANCELLED), *begun[1:]]
    assert RetrainingCounts.count(confirmation, cancelled) == RetrainingCounts(finished=4, planned=5)


def test_fewer_seeds_than_were_trained_give_the_decision_that_they_alone_would_give(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    few = searched.plan(seeds=2)
    searched.retrain(few)
    before = compute_decision(ledger, searched.sweep, few)
    searched.retrain(searched.plan(seeds=4))
    assert compute_decision(ledger, searched.sweep, few) == before
    assert before.retrainings == 8


def test_a_failed_retraining_gets_its_spare_although_others_were_trained_with_that_seed(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    many, few = searched.plan(seeds=4, top_k=1), searched.plan(seeds=2, top_k=1)
    searched.retrain(many, failing=[(0.25, 0), (0.25, 2)])
    begun = ledger.trials.list(searched.sweep.id, TrialPhase.CONFIRM)
    without = [trial for trial in begun if (trial.seed, trial.state) != (few.seeds[-1], TrialState.FAILED)]
    (spare,) = missing_retrainings(few.contenders, few.seeds, without)
    assert (rate_of(few, spare.contender.identity), spare.seed) == (0.25, few.seeds[-1])


def test_a_cancelled_retraining_is_no_part_of_the_decision(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=2)
    running = searched.begin(confirmation)
    ledger.trials.finish(running.id, attempt=1, ending=Ending(state=TrialState.CANCELLED))
    searched.retrain(confirmation)
    assert compute_decision(ledger, searched.sweep, confirmation).retrainings == 8


def test_recipes_that_are_alike_leave_the_default(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, EVEN)
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation)
    decision = compute_decision(ledger, searched.sweep, confirmation)
    assert decision.outcome in (Outcome.DEFAULT_STANDS, Outcome.DEFAULT_BEST)
    assert decision.recipe == confirmation.default.identity


def test_the_same_rows_give_the_same_bytes_elsewhere_too(ledger: Ledger, tmp_path: Path) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation)
    first = json.dumps(compute_decision(ledger, searched.sweep, confirmation).as_json())
    ledger.backup(tmp_path / "ledger.zip")
    other = Ledger.open_file(tmp_path / "other.db", clock=lambda: 9)
    other.restore(tmp_path / "ledger.zip")
    sweep = other.sweeps.get(searched.sweep.id)
    assert sweep.confirmation is not None
    again = compute_decision(other, sweep, Confirmation.from_json(sweep.confirmation))
    assert json.dumps(again.as_json()) == first
    other.close()


def test_a_confirmation_comes_back_from_json(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation)
    decided = replace(confirmation, decision=compute_decision(ledger, searched.sweep, confirmation), deployed="x")
    assert Confirmation.from_json(json.loads(json.dumps(decided.as_json()))) == decided
    assert decided.is_like(confirmation)
    assert not decided.is_like(searched.plan(seeds=3))


def test_a_failed_retraining_is_replaced_by_the_spare(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation, failing=[(0.25, 1)])
    rows = retrainings_of(confirmation, ledger.trials.list(searched.sweep.id, TrialPhase.CONFIRM))
    assert {len(row) for row in rows.values()} == {2}
    replaced = rows[Recipe.from_flat({"dropout.rate": 0.25}).identity][1]
    assert replaced.seed == confirmation.seeds[-1]
    decision = compute_decision(ledger, searched.sweep, confirmation)
    assert (decision.outcome, decision.seeds, decision.retrainings) == (Outcome.WINNER, 2, 9)


def test_a_second_failure_drops_its_seed_for_all(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=3)
    searched.retrain(confirmation, failing=[(0.25, 0), (0.5, 2)])
    decision = compute_decision(ledger, searched.sweep, confirmation)
    assert (decision.seeds, len(decision.finalists), decision.retrainings) == (2, 3, 13)


def test_a_finalist_that_always_fails_is_left_out_and_the_others_are_decided(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation, failing=[(0.5, 0), (0.5, 1), (0.5, 2)])
    decision = compute_decision(ledger, searched.sweep, confirmation)
    assert (decision.outcome, decision.seeds, len(decision.finalists)) == (Outcome.WINNER, 2, 2)


@pytest.mark.parametrize("failing", [[(0.0, 0), (0.0, 2)], [(0.0, 0), (0.0, 1), (0.0, 2)]])
def test_without_two_retrainings_of_the_default_nothing_is_claimed(
    ledger: Ledger, failing: list[tuple[float, int]]
) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation, failing=failing)
    decision = compute_decision(ledger, searched.sweep, confirmation)
    assert (decision.outcome, decision.doubt) == (Outcome.NO_CLAIM, Doubt.FEW_SEEDS)
    assert decision.recipe == confirmation.default.identity
    assert read_test_scores(ledger, searched.sweep, replace(confirmation, decision=decision)) is None


def test_a_trial_without_predictions_is_an_error_that_says_so(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation)
    with ledger._transactions.writing() as connection:
        connection.exec_driver_sql(f"DELETE FROM predictions WHERE trial_id = '{searched.sweep.id}-0002'")
    with pytest.raises(ConfirmationError, match="-0002 has no predictions in the ledger"):
        compute_decision(ledger, searched.sweep, confirmation)


@pytest.mark.parametrize("packed", ["xx", pack(np.eye(2), np.array([0, 1]))], ids=["no base64", "too few images"])
def test_damaged_predictions_are_an_error_that_names_the_trial(ledger: Ledger, packed: str) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation)
    with ledger._transactions.writing() as connection:
        connection.exec_driver_sql(
            f"UPDATE predictions SET packed = '{packed}' WHERE trial_id LIKE '{searched.sweep.id}-c%'"
        )
    with pytest.raises(ConfirmationError, match=r"the predictions of \S+ on the \w+ images are damaged in the ledger"):
        compute_decision(ledger, searched.sweep, confirmation)


def test_the_test_images_compare_winner_and_default(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation)
    decided = replace(confirmation, decision=compute_decision(ledger, searched.sweep, confirmation))
    assert read_test_scores(ledger, searched.sweep, decided) is None
    rows = retrainings_of(decided, ledger.trials.list(searched.sweep.id, TrialPhase.CONFIRM))
    assert decided.decision is not None
    searched.read_test(rows[decided.decision.recipe] + rows[decided.default.identity])
    reading = read_test_scores(ledger, searched.sweep, decided)
    assert reading is not None
    assert (reading["images"], reading["seeds"]) == (SPLITS["test"], 2)
    assert reading["difference"]["mean"] == pytest.approx(reading["chosen"]["mean"] - reading["default"]["mean"])
    assert reading["difference"]["low"] < reading["difference"]["mean"] < reading["difference"]["high"]
    assert reading["deployed"]["trial_id"] == rows[decided.decision.recipe][0].id


@pytest.mark.parametrize(
    ("metric", "measure"),
    [("accuracy", "accuracy"), ("balanced_accuracy", "balanced_accuracy"), ("loss", "loss"), ("auroc", "accuracy")],
)
def test_the_measure_is_the_metric_if_it_is_a_mean_over_images(metric: str, measure: str) -> None:
    assert decided_measure(f"val/{metric}") == measure


def test_scores_of_images_have_the_metric_as_their_mean(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    ranked = ledger.trials.list(searched.sweep.id)
    labels = searched.labels["val"]
    accuracy = read_search(ledger, searched.sweep, ranked, "accuracy")
    assert accuracy.naive == pytest.approx([trial.best_value for trial in ranked], abs=1e-9)
    balanced = read_search(ledger, searched.sweep, ranked, "balanced_accuracy")
    right = accuracy.scores[0]
    recalls = [float(np.mean(right[np.equal(labels, label)])) for label in range(3)]
    assert balanced.scores[0].mean() == pytest.approx(np.mean(recalls))
    loss = read_search(ledger, searched.sweep, ranked, "loss")
    expected = float(np.mean(np.log(0.1 + 0.7 * right)))
    assert loss.scores[0].mean() == pytest.approx(expected, rel=1e-3)


def test_a_sweep_by_loss_is_decided_by_loss(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD, spec=SPEC + "metric: {name: val/loss}\n")
    confirmation = searched.plan(seeds=2)
    assert confirmation.measure == "loss"
    searched.retrain(confirmation)
    decision = compute_decision(ledger, searched.sweep, confirmation)
    assert decision.outcome is Outcome.WINNER
    assert rate_of(confirmation, decision.recipe) == 0.25
