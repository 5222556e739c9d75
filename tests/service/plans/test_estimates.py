"""Estimates of a sweep with known costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import parse_spec
from service.plans.estimates import TrialCosts, play
from service.schedulers import NoStopping, Scheduler, build_scheduler

ASHA = """\
name: a
data: {source: digits}
space: {batch_size: 32}
scheduler: {type: asha, grace_epochs: 1, reduction_factor: 3}
budget: {trials: 60, epochs: 9}
"""


def costs(*epochs: float) -> list[TrialCosts]:
    return [TrialCosts(build=1.0, epoch=epoch, memory=0) for epoch in epochs]


def asha(epochs: int = 9) -> Scheduler:
    return build_scheduler(parse_spec(ASHA.replace("epochs: 9", f"epochs: {epochs}"), file="s.yaml"))


def test_without_stopping_every_trial_trains_all_epochs_on_the_next_free_worker() -> None:
    played = play(costs(10.0, 1.0, 1.0, 1.0), slots=2, scheduler=NoStopping(epochs=2))
    assert (played.epochs, played.stopped) == (8, 0)
    assert played.worker_seconds == 21 + 3 * 3
    assert played.seconds == 21


def test_successive_halving_lets_about_one_in_three_past_each_rung() -> None:
    trials = costs(*[1.0] * 60)
    most = play(trials, slots=2, scheduler=NoStopping(epochs=9))
    likely = play(trials, slots=2, scheduler=asha())
    assert most.epochs == 540
    assert 0.5 <= likely.stopped / 60 <= 0.85
    assert likely.epochs < most.epochs / 2
    assert likely.seconds < most.seconds / 2


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=20), st.integers(1, 4), st.integers(1, 9), st.integers(0, 9))
def test_stopping_never_costs_more_and_workers_are_never_busier_than_there_are(
    epochs: list[float], slots: int, budget: int, seed: int
) -> None:
    trials = costs(*epochs)
    most = play(trials, slots=slots, scheduler=NoStopping(epochs=budget))
    likely = play(trials, slots=slots, scheduler=asha(budget), seed=seed)
    assert likely.epochs <= most.epochs == budget * len(trials)
    assert likely.worker_seconds <= most.worker_seconds + 1e-6
    for played in (most, likely):
        assert played.worker_seconds / slots - 1e-6 <= played.seconds <= played.worker_seconds + 1e-6


def test_one_seed_gives_one_outcome() -> None:
    trials = costs(*[1.0] * 30)
    once, again = (play(trials, slots=2, scheduler=asha(), seed=3) for _ in range(2))
    assert once == again
    assert pytest.approx(once.worker_seconds) == 30 + once.epochs
