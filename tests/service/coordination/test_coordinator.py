"""A sweep without Ray: what is asked, recorded, stopped and budgeted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search_spaces import SweepSpec, parse_spec
from service.coordination import Result, Session, new_sweep
from service.ledgers import Cause, EpochRow, Ledger, SweepState, Trial, TrialState
from service.schedulers import build_scheduler
from service.searchers import build_searcher

SPEC = """
name: cells
data: {source: digits, image_size: 16}
space:
  freeze_depth: {values: [all, -1, 0]}
  dropout.rate: {min: 0.0, max: 0.5}
search: {algorithm: random, seed: 3}
budget: {trials: 6, epochs: 3}
"""


class Watch:
    """Seconds that tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def open_session(tmp_path: Path, watch: Watch) -> Iterator[Callable[..., Session]]:
    ledger = Ledger.at(tmp_path / "ledger.db", clock=lambda: int(watch.now * 1000))

    def make(text: str = SPEC, gpu_share: float = 0.0) -> Session:
        spec: SweepSpec = parse_spec(text, file="sweep.yaml")
        sweep = new_sweep(spec, ledger, data={}, plan={})
        sweep = ledger.move_sweep(sweep.id, SweepState.RUNNING)
        return Session(
            spec=spec,
            sweep=sweep,
            ledger=ledger,
            searcher=build_searcher(spec),
            scheduler=build_scheduler(spec),
            clock=watch,
            gpu_share=gpu_share,
        )

    yield make
    ledger.close()


def rows(*accuracies: float, first: int = 1) -> tuple[EpochRow, ...]:
    return tuple(
        EpochRow(epoch=epoch, seconds=10.0, recorded_at=epoch, readings={"val": {"accuracy": accuracy}})
        for epoch, accuracy in enumerate(accuracies, start=first)
    )


def finish(session: Session, trial: Trial, accuracy: float) -> None:
    assert session.record(trial.id, Result(rows=rows(accuracy, accuracy, accuracy), done=True))


def drain(session: Session) -> list[Trial]:
    """Run every trial of the session, one after the other."""
    ran = []
    while (trial := session.next_trial()) is not None:
        finish(session, trial, 0.5 + trial.number / 100)
        ran.append(trial)
    return ran


def test_the_first_trial_is_the_default_recipe_and_no_recipe_comes_twice(
    open_session: Callable[..., Session],
) -> None:
    session = open_session()
    ran = drain(session)
    assert len(ran) == 6
    assert (ran[0].recipe["freeze_depth"], ran[0].recipe["dropout.rate"]) == (9, 0.0)
    assert len({trial.identity for trial in ran}) == 6
    assert {trial.seed for trial in ran} == {3}


@pytest.mark.parametrize("algorithm", ["random", "tpe"])
def test_the_same_seed_asks_for_the_same_recipes(open_session: Callable[..., Session], algorithm: str) -> None:
    text = SPEC.replace("random", algorithm).replace("trials: 6", "trials: 14")
    first, again = drain(open_session(text)), drain(open_session(text))
    other = drain(open_session(text.replace("seed: 3", "seed: 4")))
    assert [t.recipe for t in first] == [t.recipe for t in again]
    assert [t.recipe for t in first] != [t.recipe for t in other]


@pytest.mark.parametrize("algorithm", ["random", "tpe"])
def test_a_small_space_is_searched_once_and_then_the_sweep_ends(
    open_session: Callable[..., Session], algorithm: str
) -> None:
    text = SPEC.replace("random", algorithm).replace("{min: 0.0, max: 0.5}", "{values: [0.0, 0.2]}")
    session = open_session(text.replace("trials: 6", "trials: 50"))
    ran = drain(session)
    assert {(t.recipe["freeze_depth"], t.recipe["dropout.rate"]) for t in ran} == {
        (depth, rate) for depth in (9, 8, 0) for rate in (0.0, 0.2)
    }
    assert len(ran) == session.planned == 6


def test_tpe_learns_where_the_good_recipes_are(open_session: Callable[..., Session]) -> None:
    session = open_session(SPEC.replace("random", "tpe").replace("trials: 6", "trials: 40"))
    rates = []
    while (trial := session.next_trial()) is not None:
        rate = trial.recipe["dropout.rate"]
        finish(session, trial, 1 - abs(rate - 0.4))
        rates.append(rate)
    late = sorted(abs(rate - 0.4) for rate in rates[20:])
    assert late[len(late) // 2] < 0.05


def test_asha_prunes_the_worst_and_keeps_the_best(open_session: Callable[..., Session]) -> None:
    session = open_session(SPEC + "scheduler: {type: asha, grace_epochs: 1, reduction_factor: 3}\n")
    trials = [session.next_trial() for _ in range(4)]
    ended = [
        session.record(trial.id, Result(rows=rows(accuracy), done=False))
        for trial, accuracy in zip(trials, (0.9, 0.8, 0.1, 0.95), strict=True)
        if trial is not None
    ]
    assert ended == [False, False, True, False]
    assert session.progress.states[TrialState.PRUNED] == 1
    assert session.progress.best is not None
    assert session.progress.best.best_value == 0.95


def step(session: Session, trial: Trial, epoch: int, accuracy: float, *, last: int) -> bool:
    """One epoch of a trial; whether it has ended."""
    return session.record(trial.id, Result(rows=rows(accuracy, first=epoch), done=epoch == last))


def test_the_median_rule_ends_a_trial_below_the_others_averages_and_says_so_to_workers(
    open_session: Callable[..., Session],
) -> None:
    session = open_session(SPEC + "scheduler: {type: median, grace_epochs: 2, min_trials: 2}\n")
    assert list(session.milestones) == [1, 2, 3]
    first, second, third = (session.next_trial() for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    assert session.record(first.id, Result(rows=rows(0.6, 0.8, 0.9), done=True))
    assert not session.record(second.id, Result(rows=rows(0.1, 0.3), done=False))
    assert not step(session, third, 1, 0.4, last=3)
    assert step(session, third, 2, 0.44, last=3)
    assert session.ledger.trial(third.id).state is TrialState.PRUNED


def test_epochs_that_arrive_together_are_judged_as_if_they_came_one_by_one(
    open_session: Callable[..., Session],
) -> None:
    session = open_session(SPEC + "scheduler: {type: median, min_trials: 1}\n")
    good, late = session.next_trial(), session.next_trial()
    assert good is not None
    assert late is not None
    assert not session.record(good.id, Result(rows=rows(0.5, 0.6), done=False))
    assert session.record(late.id, Result(rows=rows(0.4, 0.7), done=False))
    ended = session.ledger.trial(late.id)
    assert (ended.state, ended.epochs) == (TrialState.PRUNED, 2)


def test_tpe_learns_from_trials_that_the_median_rule_ended(open_session: Callable[..., Session]) -> None:
    text = SPEC.replace("random", "tpe").replace("trials: 6, epochs: 3", "trials: 45, epochs: 2")
    session = open_session(text + "scheduler: {type: median}\n")
    rates = []
    while (trial := session.next_trial()) is not None:
        rate = trial.recipe["dropout.rate"]
        for epoch in (1, 2):
            if step(session, trial, epoch, (1 - abs(rate - 0.4)) * (1 - 0.5**epoch), last=2):
                break
        rates.append(rate)
    assert session.progress.states[TrialState.PRUNED] > 10
    late = sorted(abs(rate - 0.4) for rate in rates[25:])
    assert late[len(late) // 2] < 0.05


def test_a_grid_ends_with_its_last_recipe_and_nothing_was_cut_short(open_session: Callable[..., Session]) -> None:
    text = SPEC.replace("random", "grid").replace("{min: 0.0, max: 0.5}", "{min: 0.0, max: 0.2, step: 0.1}")
    session = open_session(text.replace("trials: 6, ", ""))
    assert session.planned == 9
    ran = drain(session)
    assert [(t.recipe["freeze_depth"], t.recipe["dropout.rate"]) for t in ran] == [
        (depth, rate) for depth in (9, 8, 0) for rate in (0.0, 0.1, 0.2)
    ]
    assert session.next_trial() is None
    assert (session.planned, session.cut_short) == (9, None)


def test_a_failing_trial_keeps_its_reason_and_the_sweep_goes_on(open_session: Callable[..., Session]) -> None:
    session = open_session()
    trial = session.next_trial()
    assert trial is not None
    assert session.record(trial.id, Result(rows=rows(0.4), done=True, error="loss is nan in epoch 2", trace="..."))
    failed = session.ledger.trial(trial.id)
    assert (failed.state, failed.error, failed.epochs) == (TrialState.FAILED, "loss is nan in epoch 2", 1)
    assert session.next_trial() is not None


def test_a_lost_process_fails_its_trial_alone(open_session: Callable[..., Session]) -> None:
    session = open_session()
    lost, alive = session.next_trial(), session.next_trial()
    assert lost is not None
    assert alive is not None
    session.crashed(lost.id, "the trial's process ended: SIGKILL")
    assert session.record(lost.id, Result(rows=rows(0.4), done=False)) is True
    assert session.ledger.trial(lost.id).epochs == 0
    assert [trial.id for trial in session.running] == [alive.id]


def test_when_the_wall_budget_is_spent_running_trials_end_at_their_next_report(
    open_session: Callable[..., Session], watch: Watch
) -> None:
    session = open_session(SPEC.replace("epochs: 3", "epochs: 3, wall: 2m"))
    trial = session.next_trial()
    assert trial is not None
    watch.now = 119.0
    assert not session.record(trial.id, Result(rows=rows(0.4), done=False))
    watch.now = 120.0
    assert session.next_trial() is None
    assert session.record(trial.id, Result(rows=rows(0.5, first=2), done=False))
    ended = session.ledger.trial(trial.id)
    assert (ended.state, ended.error) == (TrialState.CANCELLED, "budget.wall of 120 s is spent")
    assert ended.epochs == 2
    assert session.cut_short == "budget.wall of 120 s is spent"


def test_a_budget_that_ends_with_the_last_trial_cuts_nothing_short(
    open_session: Callable[..., Session], watch: Watch
) -> None:
    session = open_session(SPEC.replace("epochs: 3", "epochs: 3, wall: 2m"))
    drain(session)
    watch.now = 500.0
    assert session.next_trial() is None
    assert session.cut_short is None


def test_gpu_hours_count_the_share_of_the_gpu(open_session: Callable[..., Session]) -> None:
    text = SPEC.replace("epochs: 3", "epochs: 3, gpu_hours: 0.004")
    session = open_session(text, gpu_share=0.5)
    first, second = session.next_trial(), session.next_trial()
    assert first is not None
    assert second is not None
    session.record(first.id, Result(rows=rows(0.5, 0.5), done=False))
    assert session.closing is None
    finish(session, second, 0.5)
    assert session.next_trial() is None
    assert session.closing == "budget.gpu_hours of 0.004 is spent"


def test_too_many_failures_end_the_sweep(open_session: Callable[..., Session]) -> None:
    session = open_session(SPEC.replace("epochs: 3", "epochs: 3, max_failed: 1"))
    for _ in range(2):
        trial = session.next_trial()
        assert trial is not None
        session.crashed(trial.id, "gone", cause=Cause.CODE)
    assert session.next_trial() is None
    assert session.failed_too_often
    assert session.closing == "2 trials failed, budget.max_failed is 1"


def test_trouble_with_the_cache_is_said_once(open_session: Callable[..., Session]) -> None:
    said: list[str] = []
    session = open_session()
    session._notice = said.append
    trial = session.next_trial()
    assert trial is not None
    for epoch in (1, 2):
        shared = {"trouble": "the disk is full", "training": "computed"}
        session.record(trial.id, Result(rows=rows(0.5, first=epoch), done=False, sharing=shared))
    assert said == ["the disk is full"]
    assert session.ledger.trial(trial.id).sharing == shared


POINTS = """
name: p
data: {source: digits}
scheduler: {type: TYPE}
search:
  algorithm: points
  points: [{freeze_depth: -1}, {freeze_depth: all}, {freeze_depth: 0}, {freeze_depth: 0, optimizer.lr: 0.01}]
budget: {epochs: 4LIMIT}
"""


@pytest.mark.parametrize(
    ("scheduler", "limit", "numbers"),
    [
        ("asha", "", [0, 1, 2, 3]),
        ("none", ", wall: 1h", [0, 1, 2, 3]),
        ("none", "", [2, 3, 0, 1]),
        ("none", ", trials: 3", [2, 0, 1]),
    ],
)
def test_points_begin_in_order_or_the_longest_first_where_all_run_to_their_end(
    scheduler: str, limit: str, numbers: list[int], open_session: Callable[..., Session]
) -> None:
    session = open_session(POINTS.replace("TYPE", scheduler).replace("LIMIT", limit))
    assert [trial.number for trial in drain(session)] == numbers


def test_points_that_see_the_same_activations_follow_each_other(open_session: Callable[..., Session]) -> None:
    flip, plain = "{freeze_depth: all, augment.policy: flip}", "{freeze_depth: all, augment.policy: none}"
    points = [plain, flip, "{freeze_depth: -1}", plain, flip]
    drawn = ", ".join(point.replace("}", f", dropout.rate: 0.{at}}}") for at, point in enumerate(points))
    before, _, after = POINTS.partition("[")
    text = f"{before}[{drawn}]{after.partition(']')[2]}"
    session = open_session(text.replace("TYPE", "none").replace("LIMIT", ""))
    assert [trial.number for trial in drain(session)] == [2, 0, 3, 1, 4]


def test_the_search_is_not_over_while_a_trial_runs_that_may_have_to_be_tried_again(
    open_session: Callable[..., Session], watch: Watch
) -> None:
    session = open_session(SPEC.replace("trials: 6", "trials: 1"))
    trial = session.next_trial()
    assert trial is not None
    assert session.next_trial() is None
    assert session.waiting
    session.crashed(trial.id, "the trial's process ended: SIGKILL")
    assert session.waiting
    watch.now += 3600
    again = session.next_trial()
    assert again is not None
    assert again.id == trial.id
    finish(session, again, 0.5)
    assert session.next_trial() is None
    assert not session.waiting


def test_points_that_are_left_begin_once_there_is_more_budget(open_session: Callable[..., Session]) -> None:
    text = POINTS.replace("TYPE", "none").replace("LIMIT", ", trials: NUMBER")
    session = open_session(text.replace("NUMBER", "2"))
    assert [trial.number for trial in drain(session)] == [0, 1]
    spec = parse_spec(text.replace("NUMBER", "4"), file="sweep.yaml")
    again = Session(
        spec=spec,
        sweep=session.sweep,
        ledger=session.ledger,
        searcher=build_searcher(spec),
        scheduler=build_scheduler(spec),
        clock=Watch(),
        past=session.ledger.past(session.sweep.id),
    )
    assert [trial.number for trial in drain(again)] == [2, 3]
