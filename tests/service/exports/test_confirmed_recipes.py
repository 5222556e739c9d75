"""Recipes of confirmed sweeps: the winner or the default, with what its retrainings promise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.confirmations import Confirmation
from service.confirmations.readings import compute_decision, retrainings_of
from service.exports import RecipeFile, load_recipe, write_recipe
from service.exports.sweep_recipes import make_recipe_file
from service.ledgers import Ledger, TrialPhase
from tests.service.confirmations.searched_sweeps import SPLITS, SearchedSweep

WINNER = {0.0: 0.60, 0.25: 0.85, 0.5: 0.62, 0.75: 0.55}
EVEN = {0.0: 0.80, 0.25: 0.80, 0.5: 0.80}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open_file(tmp_path / "ledger.db", clock=lambda: 1)
    yield opened
    opened.close()


def confirmed(ledger: Ledger, chances: dict[float, float], **changes: str) -> tuple[RecipeFile, Confirmation]:
    """Return the exported recipe of a sweep that was confirmed with four seeds, and the confirmation."""
    searched = SearchedSweep(ledger, chances)
    confirmation = replace(searched.plan(seeds=4), **changes)  # type: ignore[arg-type]
    searched.retrain(confirmation)
    decided = replace(confirmation, decision=compute_decision(ledger, searched.sweep, confirmation))
    ledger.sweeps.note(searched.sweep.id, confirmation=decided.as_json())
    sweep = ledger.sweeps.get(searched.sweep.id)
    return make_recipe_file(ledger, sweep, with_places=True), decided


def test_a_winner_is_exported_with_its_score_on_fresh_seeds(ledger: Ledger, tmp_path: Path) -> None:
    file, confirmation = confirmed(ledger, WINNER)
    decision, score = confirmation.decision, file.score
    assert decision is not None
    assert file.chosen.how == "confirmed"
    assert file.chosen.because.startswith("the winner is trial 1")
    assert file.recipe["dropout"]["rate"] == 0.25
    assert file.training.seeds == list(confirmation.seeds[:-1])
    assert len(file.training.best_epochs) == len(score.by_seed) == 4
    assert (score.split, score.images, score.measure) == ("confirm", SPLITS["confirm"], "accuracy")
    assert score.value == decision.score == pytest.approx(sum(score.by_seed) / 4)
    assert score.mean_interval is not None
    assert score.training_interval is not None
    assert (score.mean_interval.low, score.mean_interval.high) == (decision.low, decision.high)
    assert score.training_interval.low <= min(score.by_seed) <= max(score.by_seed) <= score.training_interval.high
    assert score.naive == decision.naive
    assert file.evidence["difference_to_default"]["lead"] == decision.finalist(str(decision.winner)).lead

    (tmp_path / "recipe.yaml").write_text(write_recipe(file))
    assert load_recipe(tmp_path / "recipe.yaml") == file
    lines = (tmp_path / "recipe.yaml").read_text().splitlines()
    assert lines[1].startswith("# CONFIRMED: the winner is trial 1")
    assert "95 % interval of the recipe's mean" in lines[2]


def test_a_default_that_stands_is_exported_as_the_default(ledger: Ledger) -> None:
    file, confirmation = confirmed(ledger, EVEN)
    assert file.chosen.how == "default stands"
    assert file.chosen.because.startswith("the default stands")
    assert file.recipe["dropout"]["rate"] == 0.0
    assert file.is_confirmed
    trials = retrainings_of(confirmation, ledger.trials.list(file.chosen.sweep, TrialPhase.CONFIRM))
    assert file.training.seeds == [trial.seed for trial in trials[confirmation.default.identity]]


def test_a_loss_is_exported_as_a_loss(ledger: Ledger) -> None:
    file, _ = confirmed(ledger, WINNER, measure="loss")
    score = file.score
    assert score.measure == "loss"
    assert score.value > 0
    for interval in (score.mean_interval, score.training_interval):
        assert interval is not None
        assert interval.low < score.value < interval.high


def test_a_confirmation_without_a_claim_leaves_the_best_trial_unconfirmed(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SPLITS, "confirm", 40)
    file, _ = confirmed(ledger, WINNER)
    assert file.chosen.how == "unconfirmed"
    assert "A confirmation came to no claim: no claim below 60 confirmation images (40)" in file.chosen.because
    assert (file.score.split, file.score.mean_interval) == ("val", None)


def test_a_confirmation_that_goes_on_is_not_awaited(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, WINNER)
    searched.plan(seeds=2)
    sweep = ledger.sweeps.get(searched.sweep.id)
    assert make_recipe_file(ledger, sweep, with_places=True).chosen.how == "unconfirmed"
