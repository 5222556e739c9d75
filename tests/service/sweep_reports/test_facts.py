"""The numbers of a report, from sweeps whose trials are known."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from search_spaces import Point
from service.confirmations.readings import compute_decision
from service.ledgers import Ledger, SweepState, TrialState
from service.reports import Leaderboard
from service.sweep_reports import SweepReport, make_report, rank_hyperparameters
from tests.service.confirmations.searched_sweeps import SearchedSweep
from tests.service.sweep_reports.made_sweeps import Clock, MadeSweep, pack_as_before

ADAMW: Point = {"optimizer": "adamw", "optimizer[adamw].name": "adamw", "optimizer[adamw].weight_decay": 0.01}


def point(rate: float, depth: int | str = -1, policy: str = "none") -> Point:
    rest: Point = {"dropout.rate": 0.1, "augment.policy": policy, "batch_size": 16}
    return {"freeze_depth": depth, **rest, **ADAMW, "optimizer[adamw].lr": rate}


@pytest.fixture
def made(ledger: Ledger, clock: Clock) -> MadeSweep:
    return MadeSweep(ledger, clock)


def report_of(made: MadeSweep) -> SweepReport:
    """The report after its way through JSON, which must change nothing."""
    report = make_report(made.ledger, made.ledger.sweeps.get(made.sweep.id))
    assert SweepReport.model_validate_json(report.model_dump_json()) == report
    json.dumps(report.model_dump(mode="json"), allow_nan=False)
    return report


def test_a_sweep_without_trials_says_so_everywhere(made: MadeSweep) -> None:
    report = report_of(made)
    assert report.headline.standing == "under way"
    sections = ("progress", "importance", "slices", "depths", "contour", "curves", "tradeoffs", "timeline")
    for name in (*sections, "confusion", "mistakes", "calibration", "optimism", "confirmation"):
        section = getattr(report, name)
        assert not section.is_shown, name
        assert section.sentence.endswith((".", report.sweep.sweep_id)), name


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_trials_give_a_report(made: MadeSweep, count: int) -> None:
    for index in range(count):
        made.add(0.5, 0.6 + index / 10)
    made.end()
    report = report_of(made)
    assert report.headline.standing == "unconfirmed"
    assert report.headline.value == pytest.approx(0.5 + count / 10)
    assert report.progress.finished == count
    assert not report.importance.is_shown
    assert report.importance.needed == 20


def test_a_sweep_whose_trials_all_failed_has_no_result(made: MadeSweep) -> None:
    made.add(state=TrialState.FAILED)
    made.add(0.4, state=TrialState.FAILED)
    made.end(SweepState.FAILED)
    report = report_of(made)
    assert report.headline.standing == "no result"
    assert any("it broke" in line for line in report.headline.details)
    assert report.costs.states["failed"] == 2
    assert [span.state for span in report.timeline.spans] == ["failed", "failed"]


def test_the_best_value_so_far_rises_and_knows_the_default(made: MadeSweep) -> None:
    for value in (0.6, 0.5, 0.8, 0.7, 0.75):
        made.add(value)
    progress = report_of(made).progress
    assert [(each.finished, each.value) for each in progress.improvements] == [(1, 0.6), (3, 0.8)]
    assert progress.default_value == 0.6
    assert "came with trial 2, the 3rd of 5 to finish, after" in progress.sentence
    assert "The 2 trials after it brought nothing better" in progress.sentence


def test_a_metric_that_is_minimized_has_its_best_value_at_the_bottom(ledger: Ledger, clock: Clock) -> None:
    made = MadeSweep(ledger, clock, metric="{name: val/loss, goal: minimize}")
    for rate, value in ((1e-3, 0.9), (2e-3, 0.4), (4e-3, 0.7)):
        made.add(value, point=point(rate))
    report = report_of(made)
    assert [each.value for each in report.progress.improvements] == [0.9, 0.4]
    assert report.headline.value == 0.4
    (rates,) = [each for each in report.slices.slices if each.label == "lr (adamw)"]
    assert rates.sentence == "The best of 3 trials has lr (adamw) 0.002."


def test_working_time_leaves_out_a_pause_of_the_whole_sweep(made: MadeSweep, clock: Clock) -> None:
    made.add(0.5, 0.6)
    clock.now += 3_600_000
    made.add(0.5, 0.7)
    report = report_of(made)
    assert report.timeline.pauses == ((1.0, 3600.0),)
    assert report.timeline.seconds == pytest.approx(2.0)
    assert report.progress.seconds == pytest.approx(2.0)
    assert "1 h 0 min" in report.timeline.sentence


def test_a_slice_of_choices_compares_medians(made: MadeSweep) -> None:
    for policy, values in (("none", (0.5, 0.6, 0.7)), ("flip", (0.8, 0.9)), ("lecture7", (0.1,))):
        for value in values:
            made.add(value, point=point(1e-3, policy=policy))
    (policies,) = report_of(made).slices.slices
    assert [(each.choice, each.trials, each.median) for each in policies.choices] == [
        ("none", 3, 0.6),
        ("flip", 2, pytest.approx(0.85)),
        ("lecture7", 1, 0.1),
    ]
    assert policies.sentence.startswith("augment flip has the best median, 0.8500 over 2 trials")


def test_freeze_depth_by_learning_rate_has_a_field_for_each_pair(made: MadeSweep) -> None:
    values: dict[tuple[int | str, float], float] = {
        ("all", 1e-4): 0.5,
        ("all", 1e-2): 0.6,
        (0, 1e-4): 0.7,
        (0, 1e-2): 0.9,
    }
    for (depth, rate), value in values.items():
        made.add(value, point=point(rate, depth))
    (grid,) = report_of(made).depths.grids
    assert (grid.optimizer, grid.depths) == ("adamw", ["all", "0"])
    assert (grid.edges[0], grid.edges[-1]) == (1e-4, 1e-2)
    corners = [[row[0], row[-1]] for row in grid.cells]
    assert [[cell and cell.median for cell in row] for row in corners] == [[0.5, 0.6], [0.7, 0.9]]


def test_the_view_of_mlflow_ranks_hyperparameters_as_the_report_does(made: MadeSweep) -> None:
    for index in range(19):
        made.add(0.6 + index / 100)
    assert rank_hyperparameters(made.sweep, Leaderboard.read(made.ledger, made.sweep)) == []
    for index in range(41):
        made.add(0.7 + index / 200)
    keys = [each.key for each in report_of(made).importance.parameters]
    names = [key.replace("[adamw]", "").replace("[nesterov]", "") for key in keys]
    ranked = rank_hyperparameters(made.sweep, Leaderboard.read(made.ledger, made.sweep))
    assert ranked == list(dict.fromkeys(names))
    assert ranked.count("optimizer.lr") == 1


def test_the_important_parameter_comes_first_with_its_direction(made: MadeSweep) -> None:
    dropouts = random.Random(1)
    for index in range(48):
        rate = 1e-4 * 100 ** (index / 47)
        drawn = point(rate) | {"dropout.rate": dropouts.uniform(0, 0.5)}
        made.add(0.7 + 0.2 * index / 47, point=drawn)
    report = report_of(made)
    first, second = report.importance.parameters
    assert (first.label, first.is_clear) == ("lr (adamw)", True)
    assert first.direction.startswith("higher values are better on the whole, best from 0.00")
    assert (second.label, second.is_clear) == ("dropout", False)
    assert 0 <= first.low <= first.share <= first.high <= 1
    assert sum(each.share for each in report.importance.parameters) == pytest.approx(1, abs=1e-4)
    assert report.slices.slices[0].key == first.key
    assert report.contour.is_shown
    assert report.contour.x is not None
    known = [value for line in report.contour.cells for value in line if value is not None]
    assert 0.7 < min(known) <= max(known) < 0.9


def test_the_front_holds_the_trials_that_no_other_beats(made: MadeSweep) -> None:
    made.add(0.5)
    made.add(0.4, 0.8)
    made.add(0.4, 0.7)
    (tradeoff,) = report_of(made).tradeoffs.tradeoffs
    assert [(point.cost, point.value, point.is_front) for point in tradeoff.points] == [
        (2.0, 0.8, True),
        (2.0, 0.7, False),
        (1.0, 0.5, True),
    ]


def test_several_metrics_give_a_picture_for_each_further_one(ledger: Ledger, clock: Clock) -> None:
    metrics = "[{name: val/accuracy, goal: maximize}, {name: val/loss, goal: minimize}]"
    made = MadeSweep(ledger, clock, metric=metrics)
    made.add(0.5)
    made.add(0.4, 0.8)
    names = [each.cost for each in report_of(made).tradeoffs.tradeoffs]
    assert "training seconds" in names


def test_the_confusion_names_a_class_that_is_never_predicted(ledger: Ledger, clock: Clock) -> None:
    made = MadeSweep(ledger, clock, classes=("a", "b", "c"))
    trial = made.add(0.9)
    ledger.predictions.add(trial.id, [made.predictions(1.0, predicted={0: 0, 1: 0, 2: 2})])
    report = report_of(made)
    assert report.confusion.matrix == [[20, 0, 0], [20, 0, 0], [0, 0, 20]]
    assert report.confusion.never_predicted == ("b",)
    assert "It never predicts b" in report.confusion.sentence
    assert [(each.label, each.predicted) for each in report.mistakes.worst] == [("b", "a")] * 12
    (only,) = report.calibration.bins
    assert only.confidence == pytest.approx(0.85, abs=1e-3)


def test_three_classes_that_an_older_version_packed_are_calibrated_from_its_file_alone(
    ledger: Ledger, clock: Clock
) -> None:
    made = MadeSweep(ledger, clock, classes=("a", "b", "c"))
    trial = made.add(0.9)
    packed = made.predictions(1.0, predicted={0: 0, 1: 0, 2: 2})
    ledger.predictions.add(trial.id, [replace(packed, packed=pack_as_before(packed.packed))])
    calibration = report_of(made).calibration
    assert not calibration.is_shown
    assert "probability of the true class only" in calibration.sentence


def test_two_classes_are_calibrated_from_the_ledger_alone(made: MadeSweep) -> None:
    made.add(0.7)
    calibration = report_of(made).calibration
    (only,) = calibration.bins
    assert only.confidence == pytest.approx(0.85, abs=1e-3)
    assert only.images == 60
    assert calibration.ece == 0.04


def test_predictions_that_are_all_right_leave_no_mistakes(made: MadeSweep) -> None:
    made.add(1.0)
    report = report_of(made)
    assert not report.mistakes.is_shown
    assert report.mistakes.sentence.endswith("is right on all 60 val images.")


def test_the_headline_of_a_confirmed_sweep_is_its_decision(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, {0.0: 0.6, 0.25: 0.85, 0.5: 0.62})
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation)
    decision = compute_decision(ledger, searched.sweep, confirmation)
    decided = confirmation.as_json() | {"decision": decision.as_json()}
    ledger.sweeps.note(searched.sweep.id, confirmation=decided)
    report = make_report(ledger, ledger.sweeps.get(searched.sweep.id))
    assert report.headline.standing == "confirmed"
    assert report.headline.recipe["dropout.rate"] == 0.25
    assert report.headline.low is not None
    assert [(each.role, each.is_chosen) for each in report.confirmation.recipes] == [
        ("default", False),
        ("finalist", True),
        ("finalist", False),
    ]
    assert report.costs.retrainings == 6
    assert {span.phase for span in report.timeline.spans} == {"search", "confirm"}


def test_a_sweep_file_that_this_version_cannot_read_still_gives_slices(ledger: Ledger, clock: Clock) -> None:
    made = MadeSweep(ledger, clock)
    made.add_random(12)
    changed = replace(ledger.sweeps.get(made.sweep.id), spec_text="no: sweep\n")
    labels = {each.label for each in make_report(ledger, changed).slices.slices}
    assert {"lr", "freeze_depth", "augment"} <= labels
