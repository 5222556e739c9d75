"""Early stopping: laws of ASHA, of its brackets and of the median rule."""

from __future__ import annotations

import math
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Goal, parse_spec, rungs_below
from service.schedulers import Asha, MedianStopping, NoStopping, Report, Reports, Scheduler, build_scheduler
from service.schedulers.brackets import Brackets

EPOCHS = 10
VALUES = st.floats(-1, 1)
QUICK = settings(max_examples=50)

values = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@st.composite
def histories(draw: st.DrawFn, metric: st.SearchStrategy[float] = VALUES) -> list[Report]:
    """Draw reports of several trials in random order; each trial's epochs are in order from 1."""
    lengths = draw(st.lists(st.integers(1, EPOCHS), min_size=1, max_size=12))
    turns = draw(st.permutations([number for number, epochs in enumerate(lengths) for _ in range(epochs)]))
    epochs = dict.fromkeys(turns, 0)
    reports = []
    for number in turns:
        epochs[number] += 1
        reports.append(Report(number=number, epoch=epochs[number], value=draw(metric)))
    return reports


def decisions(scheduler: Scheduler, reports: list[Report]) -> list[bool]:
    earlier, stopped = Reports(), []
    for report in reports:
        stopped.append(scheduler.stops(earlier, report))
        earlier.add(report)
    return stopped


def asha(*, grace: int = 1, factor: int = 3, maximize: bool = True, brackets: int = 1, seed: int = 0) -> Asha:
    rungs = rungs_below(EPOCHS, grace_epochs=grace, reduction_factor=factor)
    return Asha(
        epochs=EPOCHS,
        goal=Goal.MAXIMIZE if maximize else Goal.MINIMIZE,
        brackets=Brackets(count=brackets, rungs=rungs, reduction_factor=factor, seed=seed),
    )


def rule(*, grace: int = 1, min_trials: int = 1, maximize: bool = True) -> MedianStopping:
    return MedianStopping(
        epochs=EPOCHS, grace_epochs=grace, min_trials=min_trials, goal=Goal.MAXIMIZE if maximize else Goal.MINIMIZE
    )


def run_rung(asha: Asha, scores: list[float], epoch: int = 1) -> list[bool]:
    """Return the decisions for trials that reach a rung in this order: True if the trial is stopped."""
    return decisions(asha, [Report(number=i, epoch=epoch, value=v) for i, v in enumerate(scores)])


def test_milestones_are_the_rungs_and_the_last_epoch() -> None:
    assert asha().milestones == (1, 3, 9, 10)
    assert asha(grace=2, factor=2).milestones == (2, 4, 8, 10)
    assert asha(brackets=3).milestones == (1, 3, 9, 10)
    assert NoStopping(epochs=8).milestones == (8,)
    assert list(rule(grace=5).milestones) == list(range(1, EPOCHS + 1))


def test_it_waits_for_as_many_reports_as_the_factor() -> None:
    assert run_rung(asha(factor=3), [0.9, 0.1, 0.2, 0.8, 0.95]) == [False, False, True, True, False]


@given(values)
def test_the_best_so_far_always_goes_on(scores: list[float]) -> None:
    for i, stopped in enumerate(run_rung(asha(), scores)):
        if scores[i] >= max(scores[: i + 1]):
            assert not stopped


@given(values)
def test_losing_is_the_mirror_of_winning(scores: list[float]) -> None:
    mirrored = [-score for score in scores]
    assert run_rung(asha(), scores) == run_rung(asha(maximize=False), mirrored)


@given(values)
def test_between_rungs_nothing_is_stopped(scores: list[float]) -> None:
    assert not any(run_rung(asha(), scores, epoch=2))


@QUICK
@given(st.permutations([i / 30 for i in range(30)]))
def test_worst_of_a_full_rung_is_stopped_wherever_it_stands_behind_the_first_two(scores: list[float]) -> None:
    stopped = run_rung(asha(), list(scores))
    for i in range(2, len(scores)):
        if scores[i] < sorted(scores[: i + 1], reverse=True)[max(1, (i + 1) // 3) - 1]:
            assert stopped[i]


def test_a_value_that_is_not_a_number_ranks_last() -> None:
    assert run_rung(asha(), [0.1, 0.2, math.nan]) == [False, False, True]


def test_the_same_trial_twice_at_a_rung_counts_once() -> None:
    earlier = Reports([Report(number=0, epoch=1, value=0.9), Report(number=1, epoch=1, value=0.5)])
    again = Report(number=0, epoch=1, value=0.1)
    assert not asha().stops(earlier, again)
    earlier.add(again)
    assert not asha(factor=4).stops(earlier, Report(number=2, epoch=1, value=0.3))


@QUICK
@given(histories(), st.integers(1, 4), st.integers(2, 4), st.booleans())
def test_one_bracket_goes_on_in_the_best_share_of_those_at_the_rung(
    reports: list[Report], grace: int, factor: int, maximize: bool
) -> None:
    expected = []
    for place, report in enumerate(reports):
        others = [other.value for other in reports[:place] if other.epoch == report.epoch]
        at_rung = any(report.epoch == grace * factor**k for k in range(EPOCHS)) and report.epoch < EPOCHS
        better = sum(value > report.value if maximize else value < report.value for value in others)
        enough = len(others) + 1 >= factor
        expected.append(at_rung and enough and better >= max(1, (len(others) + 1) // factor))
    assert decisions(asha(grace=grace, factor=factor, maximize=maximize), reports) == expected


@QUICK
@given(histories(), st.integers(0, 2**32 - 1))
def test_each_bracket_decides_as_if_its_trials_were_alone_and_starts_a_rung_later(
    reports: list[Report], seed: int
) -> None:
    together = asha(factor=2, brackets=3, seed=seed)
    decided = decisions(together, reports)
    for bracket in range(3):
        mine = [together.brackets.bracket_of(report.number) == bracket for report in reports]
        alone = asha(grace=2**bracket, factor=2)
        expected = decisions(alone, [report for report, is_mine in zip(reports, mine, strict=True) if is_mine])
        assert [stopped for stopped, is_mine in zip(decided, mine, strict=True) if is_mine] == expected


@given(st.integers(0, 2**32 - 1), st.integers(0, 10_000), st.integers(1, 200))
def test_any_run_of_trials_comes_close_to_hyperbands_shares(seed: int, first: int, trials: int) -> None:
    brackets = asha(brackets=3, seed=seed).brackets
    drawn = [brackets.bracket_of(number) for number in range(first, first + trials)]
    for bracket, share in enumerate(brackets.shares()):
        assert abs(drawn.count(bracket) - share * trials) < 3


def test_a_bracket_with_k_rungs_left_gets_a_share_like_hyperbands() -> None:
    weights = [3**3 / 4, 3**2 / 3, 3**1 / 2]
    assert asha(brackets=3).brackets.shares() == pytest.approx([weight / sum(weights) for weight in weights])


def test_the_seed_decides_which_trial_draws_which_bracket() -> None:
    drawn = [[asha(brackets=3, seed=seed).brackets.bracket_of(number) for number in range(20)] for seed in range(20)]
    assert {brackets[0] for brackets in drawn} == {0, 1, 2}


def stops_by_the_paper(reports: list[Report], report: Report, *, grace: int, min_trials: int, maximize: bool) -> bool:
    """Apply the median rule of Golovin et al. 2017, section 3.2.1, literally to the trials that reached the step."""
    step = report.epoch
    objectives: dict[int, list[float]] = {}
    for entry in [*reports, report]:
        if entry.epoch <= step:
            objectives.setdefault(entry.number, []).append(entry.value)
    mine = objectives.pop(report.number)
    averages = [sum(values) / step for values in objectives.values() if len(values) == step]
    if step < grace or len(averages) < min_trials:
        return False
    return max(mine) < median(averages) if maximize else min(mine) > median(averages)


@given(histories(st.integers(-8, 8).map(float)), st.integers(1, 5), st.integers(1, 4), st.booleans())
def test_the_median_rule_is_the_papers(reports: list[Report], grace: int, min_trials: int, maximize: bool) -> None:
    expected = [
        stops_by_the_paper(reports[:place], report, grace=grace, min_trials=min_trials, maximize=maximize)
        for place, report in enumerate(reports)
    ]
    assert decisions(rule(grace=grace, min_trials=min_trials, maximize=maximize), reports) == expected


def test_a_trial_ends_where_its_best_is_worse_than_the_median_of_the_others_averages() -> None:
    earlier = [(0, 1, 0.2), (0, 2, 0.8), (1, 1, 0.5), (1, 2, 0.7), (2, 1, 0.1), (2, 2, 0.1), (3, 1, 0.45)]
    reports = Reports(Report(number=number, epoch=epoch, value=value) for number, epoch, value in earlier)
    assert rule(min_trials=3).stops(reports, Report(number=3, epoch=2, value=0.49))
    assert not rule(min_trials=3).stops(reports, Report(number=3, epoch=2, value=0.5))
    assert not rule(min_trials=4).stops(reports, Report(number=3, epoch=2, value=0.0))
    assert not rule(grace=3).stops(reports, Report(number=3, epoch=2, value=0.0))


def test_the_median_rule_leaves_out_what_is_not_a_number() -> None:
    reports = Reports([Report(number=0, epoch=1, value=0.5), Report(number=1, epoch=1, value=math.nan)])
    assert not rule(min_trials=2).stops(reports, Report(number=2, epoch=1, value=0.1))
    assert rule(min_trials=1).stops(reports, Report(number=2, epoch=1, value=math.nan))
    reports.add(Report(number=0, epoch=2, value=math.inf))
    assert rule(min_trials=1).stops(reports, Report(number=1, epoch=2, value=0.4))
    assert not rule(min_trials=1).stops(reports, Report(number=1, epoch=2, value=0.6))


@QUICK
@given(histories(st.sampled_from([0.1, 0.5, math.nan, 0.7])), st.sampled_from(["asha, brackets: 2", "median", "none"]))
def test_the_same_reports_in_the_same_order_are_decided_alike(reports: list[Report], asked: str) -> None:
    """Compare with another scheduler of the same file that was asked other questions before."""
    text = f"name: a\ndata: {{source: digits}}\nspace: {{}}\nscheduler: {{type: {asked}}}\nbudget: {{epochs: 10}}\n"
    first, again = (build_scheduler(parse_spec(text, file="s.yaml")) for _ in range(2))
    decided = decisions(first, reports)
    decisions(again, reports[::2])
    assert decisions(again, reports) == decided
    if asked == "none":
        assert not any(decided)
