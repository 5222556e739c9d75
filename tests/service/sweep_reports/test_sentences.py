"""Sentences of a report: a reader who recomputes them from the numbers beside them comes to the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.ledgers import Ending, TrialState
from service.sweep_reports import SweepReport, make_report
from service.sweep_reports.facts.base import difference, ordinal
from service.sweep_reports.facts.costs import read_costs
from service.sweep_reports.facts.rows import SweepRows
from tests.service.sweep_reports.made_sweeps import MadeSweep
from tests.service.sweep_reports.test_facts import made as made  # a fixture
from tests.service.sweep_reports.test_facts import point


def report_of(made: MadeSweep) -> SweepReport:
    return make_report(made.ledger, made.ledger.sweeps.get(made.sweep.id))


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (0.86476190, 0.84952381, "0.0153"),  # 0.8648 - 0.8495, although the difference itself rounds to 0.0152
        (0.5, 0.5, "0.0000"),
        (0.500001, 0.5, "less than 0.0001"),
        (1234.5, 1200.0, "34.0000"),
    ],
)
def test_a_difference_is_that_of_the_numbers_as_they_are_written(first: float, second: float, text: str) -> None:
    assert difference(first, second) == difference(second, first) == text


def test_ordinals() -> None:
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"),
    ]


def test_trials_that_share_the_best_value_are_told(made: MadeSweep) -> None:
    for value in (0.6, 0.8, 0.7, 0.8, 0.8):
        made.add(value)
    report = report_of(made)
    assert "0.8000, came first with trial 1, the 2nd of 5 to finish" in report.progress.sentence
    assert report.progress.sentence.endswith("2 later trials equal it, and none is better.")
    assert report.headline.details[0].startswith("2 other trials have the same value")


def test_an_equal_default_is_not_called_worse(made: MadeSweep) -> None:
    made.add(0.6)
    made.add(0.6)
    sentence = report_of(made).progress.sentence
    assert "it is the default recipe's value" in sentence
    assert "One later trial equals it" in sentence


def test_the_cheapest_trial_is_named_with_its_own_time_and_why_it_was_short(made: MadeSweep) -> None:
    made.add(0.4, 0.5, 0.8)
    made.add(0.5, state=TrialState.PRUNED)
    made.add(0.4, state=TrialState.PRUNED)
    (tradeoff,) = report_of(made).tradeoffs.tradeoffs
    assert tradeoff.sentence == (
        "2 of 3 trials are on the front. Its cheapest, trial 1 (pruned after 1 epoch), has 1.0 s of training and is "
        "0.3000 worse than the best, trial 0, which has 3.0 s of training."
    )


def test_a_front_of_equal_trials_names_them_all(made: MadeSweep) -> None:
    made.add(0.7, 0.8)
    made.add(0.8)
    made.add(0.8)
    (tradeoff,) = report_of(made).tradeoffs.tradeoffs
    assert tradeoff.sentence.endswith("trial 1 and trial 2, with 1.0 s of training, are equal, and best in both.")


def test_a_slice_with_two_best_medians_names_both(made: MadeSweep) -> None:
    for policy, values in (("none", (0.8, 0.8)), ("flip", (0.8,)), ("lecture7", (0.1,))):
        for value in values:
            made.add(value, point=point(1e-3, policy=policy))
    (policies,) = report_of(made).slices.slices
    assert policies.sentence == (
        "augment none has the best median, 0.8000 over 2 trials, and so has flip; lecture7 has 0.1000."
    )
    assert report_of(made).slices.sentence == "Only augment differs between the trials with a value."


def test_a_slice_of_few_trials_with_equal_values_calls_none_of_them_the_best(made: MadeSweep) -> None:
    for rate in (1e-3, 2e-3, 4e-3):
        made.add(0.7 if rate > 1e-3 else 0.6, point=point(rate))
    (rates,) = report_of(made).slices.slices
    assert rates.sentence == (
        "2 of 3 trials are equally good, and the best; the first of them, trial 1, has lr (adamw) 0.002."
    )


def test_only_pruned_trials_count_as_spared_by_early_stopping(made: MadeSweep) -> None:
    """The sweep file plans 4 epochs for each trial."""
    made.add(0.5, 0.6, 0.7, 0.8)
    made.add(0.5, state=TrialState.PRUNED)
    made.add(0.5, state=TrialState.FAILED)
    costs = report_of(made).costs
    each = int(str(made.sweep.settings["budget.epochs"]))
    assert (costs.planned_epochs, costs.spared_epochs) == (3 * each, each - 1)
    assert f"Early stopping spared {each - 1} of {3 * each} epochs of the search." in costs.sentence


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            {"used": 300},
            "Sharing let 200 of 300 image passes (67%) skip the frozen stages, which saved the workers about",
        ),
        ({}, "Sharing let trials read the activations of 300 images, which saved the workers about"),
    ],
)
def test_image_passes_are_those_that_trials_asked_for(made: MadeSweep, more: dict[str, Any], sentence: str) -> None:
    """A trial that fills the cache computes each of 100 images once, and reads each in three epochs."""
    trial = made.begin(0)
    made.ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.COMPLETED))
    rows = SweepRows.read(made.ledger, made.ledger.sweeps.get(made.sweep.id))
    sharing = {"computed": 100, "read": 300, "saved_seconds": 0.6, **more}
    shared = [replace(trial, sharing=sharing) for trial in rows.board.trials]
    costs = read_costs(replace(rows, board=replace(rows.board, trials=tuple(shared))))
    assert f"{sentence} 0.60 s." in costs.sentence
    assert costs.image_passes == more.get("used")
