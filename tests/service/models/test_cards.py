"""Model cards: origin, scores with intervals, split sizes, limits and calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.ledgers import Ledger, Sweep, Trial
from service.models.cards import ModelCard, write_card
from tests.tracked_sweeps import Clock, mixed_sweep


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sweep, Trial]]:
    ledger = Ledger.open_file(Path(tmp_path_factory.mktemp("cards")) / "ledger.db", clock=Clock())
    sweep = mixed_sweep(ledger, trials=2)
    yield sweep, ledger.trials.list(sweep.id)[0]
    ledger.close()


def test_a_card_says_scores_with_intervals_split_sizes_limits_and_calls(records: tuple[Sweep, Trial]) -> None:
    sweep, trial = records
    card = ModelCard(
        headline="**Chosen.**", uri="models:/x@champion", test={"accuracy": 0.9, "loss": 0.3}, test_images=20
    )
    text = write_card(sweep, trial, card)
    assert text.startswith(f"**Chosen.**\nSweep {sweep.id} (photos), {trial.id}.")
    first = f"**Candidate**: the best trial of sweep {sweep.id} (photos), {trial.id}."
    again = write_card(sweep, trial, replace(card, headline=first))
    assert again.startswith(f"{first}\n\n**Scores"), "a headline that names its origin is not said twice"
    assert f"- val/accuracy {trial.best_value:.4f} in epoch {trial.best_epoch}, on 20 images" in text
    assert "- test/accuracy 0.9000, 95 % interval 0.6990 to 0.9721 (18 of 20 images)" in text
    assert "- 50 train, 20 val, 10 confirm, 20 test" in text
    assert "| cat | 25 | 10 | 5 | 10 |" in text
    assert "It knows these classes only" in text
    assert 'mlflow.pyfunc.load_model("models:/x@champion")' in text
    assert "mlflow models serve -m models:/x@champion" in text
    assert "| freeze_depth | " in text


def test_a_card_without_a_test_reading_says_so(records: tuple[Sweep, Trial]) -> None:
    assert "- not read on test images" in write_card(*records, ModelCard(headline="h", uri="models:/x/1"))


@pytest.mark.parametrize("name", ["class {}", "a class with a long name, which is the {}th of them all"])
@pytest.mark.parametrize("classes", [10, 30, 31, 120, 1000])
def test_a_card_of_many_classes_is_short_enough_for_postgresql(
    records: tuple[Sweep, Trial], classes: int, name: str
) -> None:
    sweep, trial = records
    counts = {name.format(number): {"train": 25, "val": 10} for number in range(classes)}
    many = replace(sweep, data={**sweep.data, "classes": counts})
    text = write_card(many, trial, ModelCard(headline="h", uri="models:/x/1"))
    assert len(text) <= 5000
    assert f"{classes} classes in order: {name.format(0)}" in text
    assert f"- {25 * classes} train, {10 * classes} val" in text
    assert text.splitlines()[-1].startswith("| ")
    assert (f" and {classes - 10} more" in text) == (classes == 1000 or (classes == 120 and len(name) > 10))


def test_a_card_with_endless_evidence_is_cut(records: tuple[Sweep, Trial]) -> None:
    text = write_card(*records, ModelCard(headline="h", uri="models:/x/1", evidence=["It is good. " * 500]))
    assert len(text) == 5000
    assert text.endswith("\n...")
