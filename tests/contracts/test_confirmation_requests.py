"""The contract of requests for a confirmation, over a home, and over a service: a real API before a real ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from search_spaces import MeltpointError
from service.clocks import now_ms
from service.confirmations import Confirmation
from service.confirmations.readings import compute_decision, read_test_scores, retrainings_of
from service.errors import TransitionError, UnavailableError, UsageError
from service.ledgers import Ledger, Sweep, SweepState, TrialPhase, TrialState
from service.settings import Home
from service.sweeps import SweepRequests
from tests.service.confirmations.searched_sweeps import SearchedSweep

GOOD = {0.0: 0.60, 0.25: 0.85, 0.5: 0.62}


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with closing(Ledger.open(home, clock=now_ms)) as ledger:
        yield ledger


@pytest.fixture
def searched(ledger: Ledger) -> SearchedSweep:
    return SearchedSweep(ledger, GOOD, owner="admin")


def confirm_all(searched: SearchedSweep, confirmation: Confirmation) -> Sweep:
    """Do what the driver does, without training."""
    ledger, sweep = searched.ledger, searched.sweep
    searched.retrain(confirmation)
    decided = replace(confirmation, decision=compute_decision(ledger, sweep, confirmation))
    trials = retrainings_of(decided, ledger.trials.list(sweep.id, TrialPhase.CONFIRM))
    searched.read_test([trial for row in trials.values() for trial in row])
    finished = replace(decided, test=read_test_scores(ledger, sweep, decided), deployed="x")
    ledger.sweeps.note(sweep.id, confirmation=finished.as_json())
    return ledger.sweeps.get(sweep.id)


@pytest.mark.usefixtures("drivers")
def test_a_confirmation_is_queued_once(requests: SweepRequests, searched: SearchedSweep) -> None:
    sweep_id = searched.sweep.id
    assert requests.confirmation(sweep_id) is None
    queued = requests.confirm(sweep_id, {"seeds": 2})
    assert (queued.id, queued.state, queued.phase) == (sweep_id, SweepState.QUEUED, TrialPhase.CONFIRM)
    confirmation = requests.confirmation(sweep_id)
    assert confirmation is not None
    assert (confirmation.rule.seeds, confirmation.decision) == (2, None)
    assert requests.confirm(sweep_id, {"seeds": 2}).state is SweepState.QUEUED
    assert requests.confirm(sweep_id).state is SweepState.QUEUED
    with pytest.raises(UsageError, match=f"^{sweep_id} is queued: a confirmation of it is under way. To follow it: "):
        requests.confirm(sweep_id, {"seeds": 3})
    states = [event.payload["state"] for event in requests.events(sweep_id) if event.kind == "sweep_state"]
    assert states.count("queued") == 1


@pytest.mark.usefixtures("drivers")
def test_a_complete_confirmation_is_returned_as_it_is(requests: SweepRequests, searched: SearchedSweep) -> None:
    sweep = confirm_all(searched, searched.plan(seeds=2))
    assert requests.confirm(sweep.id).state is SweepState.COMPLETED
    confirmation = requests.confirmation(sweep.id)
    assert confirmation is not None
    assert confirmation.as_json() == sweep.confirmation
    assert requests.confirm(sweep.id, {"seeds": 3}).state is SweepState.QUEUED


@pytest.mark.usefixtures("drivers")
def test_a_confirmation_that_rests_goes_on(requests: SweepRequests, searched: SearchedSweep, ledger: Ledger) -> None:
    sweep = requests.confirm(searched.sweep.id, {"seeds": 2})
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED)
    again = requests.confirm(sweep.id)
    assert again.state is SweepState.QUEUED
    assert ledger.sweeps.get(sweep.id).confirmation == sweep.confirmation or sweep.confirmation is None


def test_without_drivers_no_confirmation_is_accepted(requests: SweepRequests, searched: SearchedSweep) -> None:
    with pytest.raises(UnavailableError):
        requests.confirm(searched.sweep.id)
    assert requests.find(searched.sweep.id).state is SweepState.COMPLETED


@pytest.mark.usefixtures("drivers")
def test_a_sweep_without_another_recipe_has_nothing_to_confirm(requests: SweepRequests, ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, {0.0: 0.6}, owner="admin")
    with pytest.raises(MeltpointError, match=f"^{searched.sweep.id} has nothing to confirm: the default is its only"):
        requests.confirm(searched.sweep.id)


def test_a_sweep_that_is_under_way_or_cancelled_is_not_queued(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=2).as_json()
    ledger.sweeps.queue_confirmation(searched.sweep.id, confirmation)
    with pytest.raises(TransitionError, match="cannot be confirmed before it ends"):
        ledger.sweeps.queue_confirmation(searched.sweep.id, confirmation)
    ledger.sweeps.note(searched.sweep.id, phase="search")
    ledger.sweeps.cancel(searched.sweep.id)
    with pytest.raises(TransitionError):
        ledger.sweeps.queue_confirmation(searched.sweep.id, confirmation)


WAYS = {
    "queued": [],
    "running": [SweepState.RUNNING],
    "paused": [SweepState.RUNNING, SweepState.PAUSING, SweepState.PAUSED],
    "interrupted": [SweepState.RUNNING, SweepState.INTERRUPTED],
}


@pytest.mark.parametrize("way", WAYS)
def test_a_cancelled_confirmation_leaves_the_sweep_completed_and_may_begin_again(ledger: Ledger, way: str) -> None:
    searched = SearchedSweep(ledger, GOOD)
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation)
    sweep = ledger.sweeps.queue_confirmation(searched.sweep.id, confirmation.as_json())
    for state in WAYS[way]:
        ledger.sweeps.move(sweep.id, state)
    running = searched.begin(confirmation)
    ended = ledger.sweeps.cancel(sweep.id)
    reason = "its confirmation was cancelled by `meltpoint cancel`"
    assert (ended.state, ended.error, ended.phase) == (SweepState.COMPLETED, reason, TrialPhase.CONFIRM)
    assert ledger.trials.get(running.id).state is TrialState.CANCELLED
    begun = ledger.trials.list(sweep.id, TrialPhase.CONFIRM)
    assert sum(trial.state is TrialState.COMPLETED for trial in begun) == 6
    assert ledger.sweeps.queue_confirmation(sweep.id, confirmation.as_json()).state is SweepState.QUEUED


@pytest.mark.usefixtures("drivers")
def test_status_counts_the_retrainings_and_then_has_the_decision(
    requests: SweepRequests, searched: SearchedSweep, ledger: Ledger
) -> None:
    sweep_id = searched.sweep.id
    assert requests.status(sweep_id).confirmation is None
    assert requests.status(sweep_id).as_json()["confirmation"] is None
    assert requests.retrainings(sweep_id) == []
    sweep = requests.confirm(sweep_id, {"seeds": 2})
    confirmation = Confirmation.from_sweep(ledger.sweeps.get(sweep_id))
    assert confirmation is not None
    before = requests.status(sweep_id)
    assert before.confirmation is not None
    assert before.confirmation.describe(sweep.state) == "confirming: 0 of 6 retrainings"
    assert before.as_json()["phase"] == "confirm"
    confirm_all(searched, confirmation)
    after = requests.status(sweep_id).as_json()["confirmation"]
    assert after["retrainings"] == {"finished": 6, "planned": 6}
    assert after["outcome"] == "winner"
    assert after["decision"].startswith("the winner is trial 1: better than the default with probability ")


@pytest.mark.usefixtures("drivers")
def test_retrainings_are_listed_with_recipe_seed_and_scores(
    requests: SweepRequests, searched: SearchedSweep, ledger: Ledger
) -> None:
    requests.confirm(searched.sweep.id, {"seeds": 2, "top_k": 1})
    confirmation = Confirmation.from_sweep(ledger.sweeps.get(searched.sweep.id))
    assert confirmation is not None
    searched.retrain(confirmation, failing=[(0.0, 1)])
    listed = requests.retrainings(searched.sweep.id)
    assert [(each.contender, each.seed, each.state.value) for each in listed] == [
        ("default", confirmation.seeds[0], "completed"),
        ("trial 1", confirmation.seeds[0], "completed"),
        ("default", confirmation.seeds[1], "failed"),
        ("trial 1", confirmation.seeds[1], "completed"),
        ("default", confirmation.seeds[2], "completed"),
    ]
    assert listed[1].retrains == f"{searched.sweep.id}-0001"
    assert listed[1].metrics["val/accuracy"] > listed[0].metrics["val/accuracy"]
    assert (listed[2].metrics, listed[2].error) == ({}, "it failed")
    assert [
        trial.id
        for trial in requests.leaderboard(searched.sweep.id).trials
        if trial.id.startswith(f"{searched.sweep.id}-c")
    ] == []


def test_a_confirmation_that_cannot_go_on_leaves_the_sweep_completed(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, GOOD)
    assert searched.sweep.failure_state is SweepState.FAILED
    queued = ledger.sweeps.queue_confirmation(searched.sweep.id, searched.plan(seeds=2).as_json())
    ended = ledger.sweeps.move(queued.id, queued.failure_state, error="its images have changed")
    assert (ended.state, ended.error) == (SweepState.COMPLETED, "its images have changed")
