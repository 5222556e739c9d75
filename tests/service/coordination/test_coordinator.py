"""A sweep without Ray: trials handed out, results recorded, trials stopped, budgets kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search_spaces import SweepSpec, parse_spec
from service.coordination import Coordinator, GpuBudget, Result, new_sweep
from service.coordination.retries import RETRIES
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
    """A clock in seconds that tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def open_session(tmp_path: Path, watch: Watch) -> Iterator[Callable[..., Coordinator]]:
    ledger = Ledger.open_file(tmp_path / "ledger.db", clock=lambda: int(watch.now * 1000))

    def make(text: str = SPEC, gpu_share: float = 0.0, gpu_budget: GpuBudget | None = None) -> Coordinator:
        spec: SweepSpec = parse_spec(text, file="sweep.yaml")
        sweep = new_sweep(spec, ledger, data={}, settings={})
        sweep = ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        return Coordinator(
            spec=spec,
            sweep=sweep,
            ledger=ledger,
            searcher=build_searcher(spec),
            scheduler=build_scheduler(spec),
            clock=watch,
            gpu_share=gpu_share,
            gpu_budget=gpu_budget,
        )

    yield make
    ledger.close()


def rows(*accuracies: float, first: int = 1) -> tuple[EpochRow, ...]:
    return tuple(
        EpochRow(epoch=epoch, seconds=10.0, recorded_at=epoch, readings={"val": {"accuracy": accuracy}})
        for epoch, accuracy in enumerate(accuracies, start=first)
    )


def start(coordinator: Coordinator) -> Trial:
    trial = coordinator.next_trial()
    assert trial is not None
    return trial


def finish(coordinator: Coordinator, trial: Trial, accuracy: float) -> None:
    assert coordinator.record(trial.id, Result(rows=rows(accuracy, accuracy, accuracy), done=True))


def drain(coordinator: Coordinator) -> list[Trial]:
    """Run every trial of the coordinator, one after the other."""
    ran = []
    while (trial := coordinator.next_trial()) is not None:
        finish(coordinator, trial, 0.5 + trial.number / 100)
        ran.append(trial)
    return ran


def test_the_first_trial_is_the_default_recipe_and_no_recipe_comes_twice(
    open_session: Callable[..., Coordinator],
) -> None:
    coordinator = open_session()
    ran = drain(coordinator)
    assert len(ran) == 6
    assert (ran[0].recipe["freeze_depth"], ran[0].recipe["dropout.rate"]) == (9, 0.0)
    assert len({trial.identity for trial in ran}) == 6
    assert {trial.seed for trial in ran} == {3}


@pytest.mark.parametrize("algorithm", ["random", "tpe"])
def test_the_same_seed_asks_for_the_same_recipes(open_session: Callable[..., Coordinator], algorithm: str) -> None:
    text = SPEC.replace("random", algorithm).replace("trials: 6", "trials: 14")
    first, again = drain(open_session(text)), drain(open_session(text))
    other = drain(open_session(text.replace("seed: 3", "seed: 4")))
    assert [t.recipe for t in first] == [t.recipe for t in again]
    assert [t.recipe for t in first] != [t.recipe for t in other]


@pytest.mark.parametrize("algorithm", ["random", "tpe"])
def test_a_small_space_is_searched_once_and_then_the_sweep_ends(
    open_session: Callable[..., Coordinator], algorithm: str
) -> None:
    text = SPEC.replace("random", algorithm).replace("{min: 0.0, max: 0.5}", "{values: [0.0, 0.2]}")
    coordinator = open_session(text.replace("trials: 6", "trials: 50"))
    ran = drain(coordinator)
    assert {(t.recipe["freeze_depth"], t.recipe["dropout.rate"]) for t in ran} == {
        (depth, rate) for depth in (9, 8, 0) for rate in (0.0, 0.2)
    }
    assert len(ran) == coordinator.planned == 6


def test_tpe_learns_where_the_good_recipes_are(open_session: Callable[..., Coordinator]) -> None:
    coordinator = open_session(SPEC.replace("random", "tpe").replace("trials: 6", "trials: 40"))
    rates = []
    while (trial := coordinator.next_trial()) is not None:
        rate = trial.recipe["dropout.rate"]
        finish(coordinator, trial, 1 - abs(rate - 0.4))
        rates.append(rate)
    late = sorted(abs(rate - 0.4) for rate in rates[20:])
    assert late[len(late) // 2] < 0.05


def test_asha_prunes_the_worst_and_keeps_the_best(open_session: Callable[..., Coordinator]) -> None:
    coordinator = open_session(SPEC + "scheduler: {type: asha, grace_epochs: 1, reduction_factor: 3}\n")
    trials = [coordinator.next_trial() for _ in range(4)]
    ended = [
        coordinator.record(trial.id, Result(rows=rows(accuracy), done=False))
        for trial, accuracy in zip(trials, (0.9, 0.8, 0.1, 0.95), strict=True)
        if trial is not None
    ]
    assert ended == [False, False, True, False]
    assert coordinator.progress.states[TrialState.PRUNED] == 1
    assert coordinator.progress.best is not None
    assert coordinator.progress.best.best_value == 0.95


def resumed(coordinator: Coordinator) -> Coordinator:
    """Return another coordinator of the same sweep, as after `resume`."""
    return Coordinator(
        spec=coordinator.spec,
        sweep=coordinator.sweep,
        ledger=coordinator.ledger,
        searcher=build_searcher(coordinator.spec),
        scheduler=build_scheduler(coordinator.spec),
        clock=Watch(),
        history=coordinator.ledger.history(coordinator.sweep.id),
    )


def step(coordinator: Coordinator, trial: Trial, epoch: int, accuracy: float, *, last: int) -> bool:
    """Record an epoch of a trial; return whether the trial has ended."""
    return coordinator.record(trial.id, Result(rows=rows(accuracy, first=epoch), done=epoch == last))


def test_the_median_rule_ends_a_trial_below_the_others_averages_and_says_so_to_workers(
    open_session: Callable[..., Coordinator],
) -> None:
    coordinator = open_session(SPEC + "scheduler: {type: median, grace_epochs: 2, min_trials: 2}\n")
    assert list(coordinator.milestones) == [1, 2, 3]
    first, second, third = (coordinator.next_trial() for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    assert coordinator.record(first.id, Result(rows=rows(0.6, 0.8, 0.9), done=True))
    assert not coordinator.record(second.id, Result(rows=rows(0.1, 0.3), done=False))
    assert not step(coordinator, third, 1, 0.4, last=3)
    assert step(coordinator, third, 2, 0.44, last=3)
    assert coordinator.ledger.trials.get(third.id).state is TrialState.PRUNED


def test_epochs_that_arrive_together_are_judged_as_if_they_came_one_by_one(
    open_session: Callable[..., Coordinator],
) -> None:
    coordinator = open_session(SPEC + "scheduler: {type: median, min_trials: 1}\n")
    good, late = coordinator.next_trial(), coordinator.next_trial()
    assert good is not None
    assert late is not None
    assert not coordinator.record(good.id, Result(rows=rows(0.5, 0.6), done=False))
    assert coordinator.record(late.id, Result(rows=rows(0.4, 0.7), done=False))
    ended = coordinator.ledger.trials.get(late.id)
    assert (ended.state, ended.epochs) == (TrialState.PRUNED, 2)


def test_tpe_learns_from_trials_that_the_median_rule_ended(open_session: Callable[..., Coordinator]) -> None:
    text = SPEC.replace("random", "tpe").replace("trials: 6, epochs: 3", "trials: 45, epochs: 2")
    coordinator = open_session(text + "scheduler: {type: median}\n")
    rates = []
    while (trial := coordinator.next_trial()) is not None:
        rate = trial.recipe["dropout.rate"]
        for epoch in (1, 2):
            if step(coordinator, trial, epoch, (1 - abs(rate - 0.4)) * (1 - 0.5**epoch), last=2):
                break
        rates.append(rate)
    assert coordinator.progress.states[TrialState.PRUNED] > 10
    late = sorted(abs(rate - 0.4) for rate in rates[25:])
    assert late[len(late) // 2] < 0.05


def test_a_grid_ends_with_its_last_recipe_and_nothing_was_cut_short(open_session: Callable[..., Coordinator]) -> None:
    text = SPEC.replace("random", "grid").replace("{min: 0.0, max: 0.5}", "{min: 0.0, max: 0.2, step: 0.1}")
    coordinator = open_session(text.replace("trials: 6, ", ""))
    assert coordinator.planned == 9
    ran = drain(coordinator)
    assert [(t.recipe["freeze_depth"], t.recipe["dropout.rate"]) for t in ran] == [
        (depth, rate) for depth in (9, 8, 0) for rate in (0.0, 0.1, 0.2)
    ]
    assert coordinator.next_trial() is None
    assert (coordinator.planned, coordinator.cut_short) == (9, None)


def test_a_failing_trial_keeps_its_reason_and_the_sweep_goes_on(open_session: Callable[..., Coordinator]) -> None:
    coordinator = open_session()
    trial = coordinator.next_trial()
    assert trial is not None
    assert coordinator.record(trial.id, Result(rows=rows(0.4), done=True, error="loss is nan in epoch 2", trace="..."))
    failed = coordinator.ledger.trials.get(trial.id)
    assert (failed.state, failed.error, failed.epochs) == (TrialState.FAILED, "loss is nan in epoch 2", 1)
    assert coordinator.next_trial() is not None


def test_a_lost_process_fails_its_trial_alone(open_session: Callable[..., Coordinator]) -> None:
    coordinator = open_session()
    lost, alive = coordinator.next_trial(), coordinator.next_trial()
    assert lost is not None
    assert alive is not None
    coordinator.crashed(lost.id, "the trial's process ended: SIGKILL")
    assert coordinator.record(lost.id, Result(rows=rows(0.4), done=False)) is True
    assert coordinator.ledger.trials.get(lost.id).epochs == 0
    assert [trial.id for trial in coordinator.running] == [alive.id]


INFRASTRUCTURE = [cause for cause in Cause if cause is not Cause.CODE]


@pytest.mark.parametrize("cause", INFRASTRUCTURE)
def test_a_trial_that_loses_its_machine_during_a_pause_stays_paused_and_uses_up_no_retry(
    open_session: Callable[..., Coordinator], cause: Cause
) -> None:
    coordinator = open_session()
    trial = coordinator.next_trial()
    assert trial is not None
    assert not coordinator.record(trial.id, Result(rows=rows(0.4), done=False, latest="checkpoint"))
    coordinator.pause("paused by SIGTERM")
    coordinator.crashed(trial.id, "the machine is gone", cause=cause)
    paused = coordinator.ledger.trials.get(trial.id)
    assert (paused.state, paused.epochs, paused.latest) == (TrialState.PAUSED, 1, "checkpoint")
    assert coordinator.ledger.trials.count_failures(trial.id, cause) == 0
    assert coordinator.progress.states[TrialState.FAILED] == coordinator.progress.states[TrialState.RUNNING] == 0
    assert coordinator.next_trial() is None
    assert not coordinator.waiting
    again = resumed(coordinator).next_trial()
    assert again is not None
    assert (again.id, again.attempt) == (trial.id, 2)


def test_a_trial_without_retries_left_stays_paused_too_and_fails_after_the_pause(
    open_session: Callable[..., Coordinator], watch: Watch
) -> None:
    coordinator = open_session()
    for _ in range(RETRIES[Cause.DIED].most):
        trial = coordinator.next_trial()
        assert trial is not None
        coordinator.crashed(trial.id, "gone", cause=Cause.DIED)
        watch.now += 100
    last = coordinator.next_trial()
    assert last is not None
    coordinator.pause("paused by SIGTERM")
    coordinator.crashed(last.id, "gone", cause=Cause.DIED)
    assert coordinator.ledger.trials.get(last.id).state is TrialState.PAUSED
    later = resumed(coordinator)
    again = later.next_trial()
    assert again is not None
    later.crashed(again.id, "gone", cause=Cause.DIED)
    assert coordinator.ledger.trials.get(last.id).state is TrialState.FAILED


def test_a_trial_that_reports_a_full_disk_during_a_pause_stays_paused(
    open_session: Callable[..., Coordinator],
) -> None:
    coordinator = open_session()
    trial = coordinator.next_trial()
    assert trial is not None
    coordinator.pause("paused by SIGTERM")
    full = Result(rows=rows(0.4), done=True, error="OSError: [Errno 28] No space left on device")
    assert coordinator.record(trial.id, full)
    paused = coordinator.ledger.trials.get(trial.id)
    assert (paused.state, paused.epochs) == (TrialState.PAUSED, 1)


@pytest.mark.parametrize("is_reported", [True, False])
def test_an_error_of_the_trials_own_code_fails_the_trial_also_during_a_pause(
    open_session: Callable[..., Coordinator], is_reported: bool
) -> None:
    coordinator = open_session()
    trial = coordinator.next_trial()
    assert trial is not None
    coordinator.pause("paused by SIGTERM")
    if is_reported:
        assert coordinator.record(trial.id, Result(rows=(), done=True, error="loss is nan in epoch 1"))
    else:
        coordinator.crashed(trial.id, "loss is nan in epoch 1", cause=Cause.CODE)
    failed = coordinator.ledger.trials.get(trial.id)
    assert (failed.state, failed.error) == (TrialState.FAILED, "loss is nan in epoch 1")


def test_a_trial_that_is_lost_once_the_budget_is_spent_fails(
    open_session: Callable[..., Coordinator], watch: Watch
) -> None:
    coordinator = open_session(SPEC.replace("epochs: 3", "epochs: 3, wall: 2m"))
    trial = coordinator.next_trial()
    assert trial is not None
    watch.now = 120.0
    coordinator.crashed(trial.id, "the machine is gone", cause=Cause.LOST_NODE)
    assert coordinator.ledger.trials.get(trial.id).state is TrialState.FAILED


def test_when_the_wall_budget_is_spent_running_trials_end_at_their_next_report(
    open_session: Callable[..., Coordinator], watch: Watch
) -> None:
    coordinator = open_session(SPEC.replace("epochs: 3", "epochs: 3, wall: 2m"))
    trial = coordinator.next_trial()
    assert trial is not None
    watch.now = 119.0
    assert not coordinator.record(trial.id, Result(rows=rows(0.4), done=False))
    watch.now = 120.0
    assert coordinator.next_trial() is None
    assert coordinator.record(trial.id, Result(rows=rows(0.5, first=2), done=False))
    ended = coordinator.ledger.trials.get(trial.id)
    assert (ended.state, ended.error) == (TrialState.CANCELLED, "budget.wall of 120 s is spent")
    assert ended.epochs == 2
    assert coordinator.cut_short == "budget.wall of 120 s is spent"


def test_a_budget_that_ends_with_the_last_trial_cuts_nothing_short(
    open_session: Callable[..., Coordinator], watch: Watch
) -> None:
    coordinator = open_session(SPEC.replace("epochs: 3", "epochs: 3, wall: 2m"))
    drain(coordinator)
    watch.now = 500.0
    assert coordinator.next_trial() is None
    assert coordinator.cut_short is None


def test_gpu_hours_count_the_share_of_the_gpu(open_session: Callable[..., Coordinator]) -> None:
    text = SPEC.replace("epochs: 3", "epochs: 3, gpu_hours: 0.004")
    coordinator = open_session(text, gpu_share=0.5)
    first, second = coordinator.next_trial(), coordinator.next_trial()
    assert first is not None
    assert second is not None
    coordinator.record(first.id, Result(rows=rows(0.5, 0.5), done=False))
    assert coordinator.closing is None
    finish(coordinator, second, 0.5)
    assert coordinator.next_trial() is None
    assert coordinator.closing == "budget.gpu_hours of 0.004 is spent"


def test_too_many_failures_end_the_sweep(open_session: Callable[..., Coordinator]) -> None:
    coordinator = open_session(SPEC.replace("epochs: 3", "epochs: 3, max_failed: 1"))
    for _ in range(2):
        trial = coordinator.next_trial()
        assert trial is not None
        coordinator.crashed(trial.id, "gone", cause=Cause.CODE)
    assert coordinator.next_trial() is None
    assert coordinator.failed_too_often
    assert coordinator.closing == "2 trials failed, budget.max_failed is 1"


def test_trouble_with_the_cache_is_reported_once(open_session: Callable[..., Coordinator]) -> None:
    messages: list[str] = []
    coordinator = open_session()
    coordinator._notice = messages.append
    trial = coordinator.next_trial()
    assert trial is not None
    for epoch in (1, 2):
        shared = {"trouble": "the disk is full", "training": "computed"}
        coordinator.record(trial.id, Result(rows=rows(0.5, first=epoch), done=False, sharing=shared))
    assert messages == ["the disk is full"]
    assert coordinator.ledger.trials.get(trial.id).sharing == shared | {"gpus": 0.0}


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
    scheduler: str, limit: str, numbers: list[int], open_session: Callable[..., Coordinator]
) -> None:
    coordinator = open_session(POINTS.replace("TYPE", scheduler).replace("LIMIT", limit))
    assert [trial.number for trial in drain(coordinator)] == numbers


def test_points_that_see_the_same_activations_follow_each_other(open_session: Callable[..., Coordinator]) -> None:
    flip, plain = "{freeze_depth: all, augment.policy: flip}", "{freeze_depth: all, augment.policy: none}"
    points = [plain, flip, "{freeze_depth: -1}", plain, flip]
    drawn = ", ".join(point.replace("}", f", dropout.rate: 0.{at}}}") for at, point in enumerate(points))
    before, _, after = POINTS.partition("[")
    text = f"{before}[{drawn}]{after.partition(']')[2]}"
    coordinator = open_session(text.replace("TYPE", "none").replace("LIMIT", ""))
    assert [trial.number for trial in drain(coordinator)] == [2, 0, 3, 1, 4]


def test_the_search_is_not_over_while_a_trial_runs_that_may_have_to_be_tried_again(
    open_session: Callable[..., Coordinator], watch: Watch
) -> None:
    coordinator = open_session(SPEC.replace("trials: 6", "trials: 1"))
    trial = coordinator.next_trial()
    assert trial is not None
    assert coordinator.next_trial() is None
    assert coordinator.waiting
    coordinator.crashed(trial.id, "the trial's process ended: SIGKILL")
    assert coordinator.waiting
    watch.now += 3600
    again = coordinator.next_trial()
    assert again is not None
    assert again.id == trial.id
    finish(coordinator, again, 0.5)
    assert coordinator.next_trial() is None
    assert not coordinator.waiting


def test_points_that_are_left_begin_once_there_is_more_budget(open_session: Callable[..., Coordinator]) -> None:
    text = POINTS.replace("TYPE", "none").replace("LIMIT", ", trials: NUMBER")
    coordinator = open_session(text.replace("NUMBER", "2"))
    assert [trial.number for trial in drain(coordinator)] == [0, 1]
    spec = parse_spec(text.replace("NUMBER", "4"), file="sweep.yaml")
    again = Coordinator(
        spec=spec,
        sweep=coordinator.sweep,
        ledger=coordinator.ledger,
        searcher=build_searcher(spec),
        scheduler=build_scheduler(spec),
        clock=Watch(),
        history=coordinator.ledger.history(coordinator.sweep.id),
    )
    assert [trial.number for trial in drain(again)] == [2, 3]


def test_a_trial_that_is_paused_for_others_goes_on_before_new_ones_with_what_it_has(
    open_session: Callable[..., Coordinator],
) -> None:
    coordinator = open_session()
    first = start(coordinator)
    coordinator.record(first.id, Result(rows=rows(0.5), done=False))
    assert coordinator.startable == 5
    coordinator.preempt(first.id, "another sweep waits")
    assert (coordinator.startable, coordinator.is_done) == (6, False)
    assert coordinator.ledger.trials.get(first.id).state is TrialState.PAUSED
    again = start(coordinator)
    assert (again.id, again.attempt, again.epochs) == (first.id, 2, 1)
    assert coordinator.record(again.id, Result(rows=rows(0.6, 0.7, first=2), done=True))
    assert coordinator.ledger.trials.get(first.id).state is TrialState.COMPLETED
    coordinator.preempt(first.id, "it has ended by now")
    assert coordinator.ledger.trials.get(first.id).state is TrialState.COMPLETED


def test_a_trial_that_meets_a_bad_node_pays_no_retry_and_goes_on_elsewhere(
    open_session: Callable[..., Coordinator],
) -> None:
    coordinator = open_session()
    trial = coordinator.next_trial("gpu-1")
    assert trial is not None
    assert coordinator.record(trial.id, Result(rows=(), done=True, error="its images differ", is_nodes_fault=True))
    again = coordinator.next_trial("gpu-2")
    assert again is not None
    assert (again.id, again.attempt, again.node) == (trial.id, 2, "gpu-2"), "at once"
    counted = {cause: coordinator.ledger.trials.count_failures(trial.id, cause) for cause in Cause}
    assert {cause for cause, count in counted.items() if count} == {Cause.BAD_NODE}


def test_a_stop_lets_a_trial_finish_that_is_paused_for_others(open_session: Callable[..., Coordinator]) -> None:
    coordinator = open_session()
    first = start(coordinator)
    coordinator.preempt(first.id, "another sweep waits")
    coordinator.drain("stopped by `meltpoint stop`")
    assert not coordinator.is_done
    again = start(coordinator)
    finish(coordinator, again, 0.5)
    assert coordinator.next_trial() is None
    assert (coordinator.is_done, coordinator.startable) == (True, 0)


def test_a_pause_leaves_a_trial_paused_that_is_paused_for_others(open_session: Callable[..., Coordinator]) -> None:
    coordinator = open_session()
    first = start(coordinator)
    coordinator.preempt(first.id, "another sweep waits")
    coordinator.pause("paused by `meltpoint pause`")
    assert coordinator.is_done
    assert coordinator.next_trial() is None
    assert coordinator.ledger.trials.get(first.id).state is TrialState.PAUSED


def test_a_coordinator_is_done_when_every_trial_has_ended(open_session: Callable[..., Coordinator]) -> None:
    coordinator = open_session()
    assert (coordinator.is_done, coordinator.startable) == (False, 6)
    drain(coordinator)
    assert (coordinator.is_done, coordinator.startable) == (True, 0)


class Account:
    """GPU time of a user: so many stretches may run at once, and so many seconds may be used."""

    def __init__(self, *, seconds: float, at_once: int = 9) -> None:
        self.left, self.at_once = seconds, at_once
        self.reserved: set[str] = set()

    def reserve(self, trial_id: str) -> bool:
        assert trial_id not in self.reserved
        if self.left <= 0 or len(self.reserved) >= self.at_once:
            return False
        self.reserved.add(trial_id)
        return True

    def settle(self, trial_id: str, seconds: float) -> bool:
        self.release(trial_id, seconds)
        return self.reserve(trial_id)

    def release(self, trial_id: str, seconds: float) -> None:
        self.reserved.remove(trial_id)
        self.left -= seconds

    def describe(self) -> str:
        return "alice has used 1.0 of 1 GPU hours"


def test_a_trial_pauses_at_the_report_at_which_gpu_time_is_spent_and_so_does_the_sweep(
    open_session: Callable[..., Coordinator], watch: Watch
) -> None:
    account = Account(seconds=25.0)
    coordinator = open_session(gpu_budget=account)
    first, second = start(coordinator), start(coordinator)
    watch.now += 10.0
    assert not coordinator.record(first.id, Result(rows=rows(0.5), done=False))
    assert not coordinator.record(second.id, Result(rows=rows(0.5), done=False))
    watch.now += 10.0
    assert coordinator.record(first.id, Result(rows=rows(0.6, first=2), done=False)), "5 s were left"
    assert (coordinator.paused, coordinator.next_trial()) == (False, None)
    assert coordinator.record(second.id, Result(rows=rows(0.6, first=2), done=False))
    assert coordinator.paused
    assert coordinator.closing == "alice has used 1.0 of 1 GPU hours"
    assert account.reserved == set()
    assert {trial.state for trial in coordinator.ledger.trials.list(coordinator.sweep.id)} == {TrialState.PAUSED}


def test_no_trial_starts_for_which_there_is_no_gpu_time_while_others_go_on(
    open_session: Callable[..., Coordinator],
) -> None:
    account = Account(seconds=100.0, at_once=1)
    coordinator = open_session(gpu_budget=account)
    first = start(coordinator)
    assert coordinator.next_trial() is None
    assert not coordinator.is_done
    finish(coordinator, first, 0.5)
    assert start(coordinator).number == first.number + 1


def test_gpu_time_is_given_back_however_a_trial_ends(open_session: Callable[..., Coordinator], watch: Watch) -> None:
    account = Account(seconds=100.0)
    coordinator = open_session(gpu_budget=account)
    first, second, third = start(coordinator), start(coordinator), start(coordinator)
    watch.now += 10.0
    coordinator.crashed(first.id, "the trial's process died")
    coordinator.preempt(second.id, "another sweep waits")
    coordinator.leave("the sweep ended before the trial did")
    assert (account.reserved, account.left) == (set(), 70.0)
    assert third.id not in {trial.id for trial in coordinator.running}


def test_the_gpu_hours_of_a_sweep_count_time_that_is_not_reported_yet(
    open_session: Callable[..., Coordinator], watch: Watch
) -> None:
    coordinator = open_session(SPEC.replace("epochs: 3}", "epochs: 3, gpu_hours: 0.01}"), gpu_share=0.5)
    start(coordinator)
    start(coordinator)
    watch.now += 35.0
    assert coordinator.closing is None
    watch.now += 1.0
    assert coordinator.closing == "budget.gpu_hours of 0.01 is spent"
