"""Phases of trials, predictions of single images and promotions: the same in every kind of ledger."""

from __future__ import annotations

import pytest

from search_spaces import Goal
from service.errors import SweepNotFoundError
from service.ledgers import (
    FIRST_RETRAINING,
    EventKind,
    Ledger,
    PackedPredictions,
    Promotion,
    PromotionAction,
    Trial,
    TrialPhase,
)
from tests.contracts.ledgers import Ticks, new_sweep, record, row, running_trial


def retraining(ledger: Ledger, sweep_id: str, number: int = 0, retrains: str | None = None) -> Trial:
    return ledger.trials.create(
        sweep_id,
        number=FIRST_RETRAINING + number,
        point={},
        recipe={},
        identity="i",
        seed=7,
        started=True,
        phase=TrialPhase.CONFIRM,
        retrains=retrains,
    )


def test_retrainings_are_apart_from_the_trials_of_the_search(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    searched = record(ledger, running_trial(ledger, sweep), row(1, 0.5))
    again = record(ledger, retraining(ledger, sweep.id, 3, searched.id), row(1, 0.9))
    assert (again.id, again.phase, again.retrains) == (f"{sweep.id}-c003", TrialPhase.CONFIRM, searched.id)
    assert ledger.trials.list(sweep.id) == [searched]
    assert ledger.trials.list(sweep.id, TrialPhase.CONFIRM) == [again]
    assert ledger.trials.list(sweep.id, None) == [searched, again]
    assert ledger.sweeps.trial_counts([sweep.id])[sweep.id].best_value(Goal.MAXIMIZE) == 0.5
    assert ledger.sweeps.trial_counts([sweep.id], phase=TrialPhase.CONFIRM)[sweep.id].total == 1
    assert {entry.trial_id for entry in ledger.history(sweep.id).journal} == {searched.id}
    assert {entry.trial_id for entry in ledger.history(sweep.id, TrialPhase.CONFIRM).journal} == {again.id}
    best = [event.trial_id for event in ledger.events.after(sweep.id, 0) if event.kind is EventKind.BEST]
    assert best == [searched.id]


def test_a_sweep_knows_its_phase_and_its_confirmation(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    assert (sweep.phase, sweep.confirmation) == (TrialPhase.SEARCH, None)
    ledger.sweeps.note(sweep.id, phase=TrialPhase.CONFIRM.value, confirmation={"seeds": [1, 2]})
    noted = ledger.sweeps.get(sweep.id)
    assert (noted.phase, noted.confirmation) == (TrialPhase.CONFIRM, {"seeds": [1, 2]})


def test_predictions_come_with_a_report_and_newer_ones_replace_them(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    trial = running_trial(ledger, sweep)
    first = PackedPredictions(split="val", epoch=1, images=3, packed="abc", read_at=5)
    better = PackedPredictions(split="val", epoch=2, images=3, packed="xyz", read_at=9)
    for epoch, packed in ((1, first), (2, better)):
        ledger.trials.record_epochs(
            trial.id,
            attempt=1,
            rows=[row(epoch, 0.5)],
            metric="val/accuracy",
            goal=Goal.MAXIMIZE,
            predictions=[packed],
        )
        assert ledger.predictions.get(trial.id, "val") == packed
    other = retraining(ledger, sweep.id)
    confirmed = PackedPredictions(split="val", epoch=2, images=3, packed="q", read_by="confirm")
    ledger.predictions.add(other.id, [confirmed])
    assert ledger.predictions.of_sweep(sweep.id, "val") == {trial.id: better}
    assert ledger.predictions.of_sweep(sweep.id, "val", phase=TrialPhase.CONFIRM) == {other.id: confirmed}
    assert ledger.predictions.get(trial.id, "test") is None


def test_labels_are_noted_once(ledger: Ledger) -> None:
    sweep = new_sweep(ledger)
    assert ledger.predictions.labels(sweep.id, "val") is None
    ledger.predictions.note_labels(sweep.id, {"val": "a"})
    ledger.predictions.note_labels(sweep.id, {"val": "b", "test": "c"})
    assert [ledger.predictions.labels(sweep.id, split) for split in ("val", "test")] == ["a", "c"]
    with pytest.raises(SweepNotFoundError):
        ledger.predictions.note_labels("s-none", {"val": "a"})


def test_moves_of_an_alias_are_kept_newest_first(ledger: Ledger, clock: Ticks) -> None:
    clock.now = 100
    first = ledger.promotions.add(
        Promotion(model="cells", alias="champion", version="1", action=PromotionAction.PROMOTE, evidence={"p": 0.95})
    )
    second = ledger.promotions.add(
        Promotion(model="cells", alias="champion", version="2", previous="1", action=PromotionAction.PROMOTE)
    )
    back = ledger.promotions.add(
        Promotion(model="cells", alias="champion", version="1", previous="2", action=PromotionAction.ROLLBACK)
    )
    other = ledger.promotions.add(
        Promotion(model="dogs", alias="champion", version="1", action=PromotionAction.PROMOTE)
    )
    assert ledger.promotions.list("cells") == [back, second, first]
    assert ledger.promotions.list() == [other, back, second, first]
    assert ledger.promotions.list("cells", "staging") == []
    assert first.at == 101
