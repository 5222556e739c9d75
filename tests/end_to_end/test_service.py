"""Sweeps of a service, over HTTP: followed, paused, resumed, stopped, cancelled, deleted, and shared out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from search_spaces import MeltpointError
from service.clients import Connection
from service.clients.remote_sweeps import RemoteSweeps
from service.errors import SweepNotFoundError, UsageError
from service.ledgers import Event, EventKind, SweepAction, SweepState, TrialState
from service.settings import Context
from service.sweeps import Submission, SweepRequests
from tests.running_services import Drivers, attempts, sweep_text, until
from tests.service.commands.services import serving

MANY = 400
"""Trials of a sweep that does not end by itself during a test."""


@pytest.fixture(scope="module")
def sweeps(drivers_once: Drivers) -> Iterator[SweepRequests]:
    """Requests over HTTP to an API beside the drivers, as its admin; it has no MLflow of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        with serving(drivers_once.home.root, "--role", "api", "--port", "0") as service:
            patch.delenv("MLFLOW_TRACKING_URI")
            token = drivers_once.home.admin_token.read_text().strip()
            context = Context(name="tested", url=service.url, token=token, origin="test")
            with RemoteSweeps(Connection(context)) as requests:
                yield requests


def submission(drivers: Drivers, *, trials: int = 3, epochs: int = 3) -> Submission:
    return Submission(text=sweep_text(trials=trials, epochs=epochs), file=str(drivers.folder / "sweep.yaml"))


def running(drivers: Drivers, sweep_id: str) -> int:
    return sum(trial.state is TrialState.RUNNING for trial in drivers.trials(sweep_id))


def end(drivers: Drivers, *sweep_ids: str) -> None:
    """Cancel sweeps and wait for their ends, so that the lanes are free for other tests."""
    for sweep_id in sweep_ids:
        drivers.ask(sweep_id, SweepAction.CANCEL)
    for sweep_id in sweep_ids:
        drivers.await_state(sweep_id, SweepState.CANCELLED)


def test_a_submitted_sweep_is_followed_to_its_registered_model(drivers_once: Drivers, sweeps: SweepRequests) -> None:
    sweep = sweeps.submit(submission(drivers_once))
    assert sweep.state is not SweepState.VALIDATING, "a driver has looked at it"
    events = list[Event](sweeps.events(sweep.id, follow=True))
    assert [event.id for event in events] == sorted({event.id for event in events})
    states = [event.payload["state"] for event in events if event.kind is EventKind.SWEEP_STATE]
    assert states == ["validating", "queued", "running", "completed"]
    kinds = Counter(event.kind for event in events)
    assert (kinds[EventKind.TRIAL_STARTED], kinds[EventKind.TRIAL_ENDED], kinds[EventKind.REGISTERED]) == (3, 3, 1)
    assert set(attempts(events).values()) == {1}
    board = sweeps.leaderboard(sweep.id)
    best = [event.payload for event in events if event.kind is EventKind.BEST][-1]
    assert (best["trial_id"], best["value"]) == (board.trials[0].id, board.trials[0].best_value)
    drivers_once.await_completed([sweep.id])
    assert drivers_once.check_rows(sweep.id) == (0, 0)


def test_a_sweep_is_paused_resumed_and_gives_what_it_would_have_given(
    drivers_once: Drivers, sweeps: SweepRequests
) -> None:
    whole = sweeps.submit(submission(drivers_once, trials=2, epochs=10))
    drivers_once.await_state(whole.id, SweepState.COMPLETED)
    sweep = sweeps.submit(submission(drivers_once, trials=2, epochs=10))
    drivers_once.await_epochs(sweep.id)
    sweeps.act(sweep.id, SweepAction.PAUSE)
    paused = drivers_once.await_state(sweep.id, SweepState.PAUSED)
    assert "paused" in str(paused.error)
    before = drivers_once.trials(sweep.id)
    assert TrialState.RUNNING not in {trial.state for trial in before}
    sweeps.resume(sweep.id)
    drivers_once.await_state(sweep.id, SweepState.COMPLETED)
    assert drivers_once.board(sweep.id) == drivers_once.board(whole.id)
    assert drivers_once.sweep(sweep.id).restarts == 0


def test_a_stopped_sweep_finishes_its_running_trials_and_registers_the_best(
    drivers_once: Drivers, sweeps: SweepRequests
) -> None:
    sweep = sweeps.submit(submission(drivers_once, trials=MANY))
    drivers_once.await_epochs(sweep.id)
    sweeps.act(sweep.id, SweepAction.STOP)
    drivers_once.await_state(sweep.id, SweepState.STOPPED)
    until(lambda: drivers_once.sweep(sweep.id).registered, "no model was registered")
    assert {trial.state for trial in drivers_once.trials(sweep.id)} == {TrialState.COMPLETED}


def test_a_deleted_sweep_is_gone_with_its_checkpoints(drivers_once: Drivers, sweeps: SweepRequests) -> None:
    sweep = sweeps.submit(submission(drivers_once, trials=MANY))
    drivers_once.await_epochs(sweep.id)
    end(drivers_once, sweep.id)
    folder = drivers_once.home.sweep(sweep.id)
    assert folder.exists()
    until(lambda: drivers_once.driver_of(sweep.id) is None, "the driver did not end")
    sweeps.delete(sweep.id)
    assert not folder.exists()
    with pytest.raises(SweepNotFoundError):
        sweeps.status(sweep.id)


def test_a_higher_priority_gets_the_lanes_at_the_next_reports_and_nothing_is_trained_twice(
    drivers_once: Drivers, sweeps: SweepRequests
) -> None:
    low = drivers_once.submit(sweep_text(trials=2, epochs=25), "alice")
    drivers_once.await_epochs(low)
    high = drivers_once.submit(sweep_text(trials=2, epochs=2, name="urgent"), "bob", priority=5)
    drivers_once.await_state(high, SweepState.COMPLETED)
    assert drivers_once.sweep(low).state is SweepState.RUNNING
    waited = [event for event in drivers_once.events(low) if event.kind is EventKind.TRIAL_WAITING]
    assert waited, "no trial gave its lane up"
    assert all("priority 5" in event.payload["error"] for event in waited)
    drivers_once.await_completed([low, high])
    for trial in drivers_once.trials(low):
        reports = _reports(drivers_once.events(low), trial.id)
        assert reports == list(range(1, 26)), "each epoch was reported once, one after another"


def test_a_slot_cap_is_followed_while_the_sweep_runs(drivers_once: Drivers, sweeps: SweepRequests) -> None:
    sweep_id = drivers_once.submit(sweep_text(trials=MANY, epochs=10))
    until(lambda: running(drivers_once, sweep_id) == 2, "two lanes were not used")
    sweeps.change(sweep_id, slot_cap=1)
    until(lambda: running(drivers_once, sweep_id) == 1, "the cap was not followed")
    over = 0
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        over += running(drivers_once, sweep_id) > 1
        time.sleep(0.05)
    assert over == 0
    sweeps.change(sweep_id, slot_cap=0)
    until(lambda: running(drivers_once, sweep_id) == 2, "the cap was not taken away")
    end(drivers_once, sweep_id)


def test_a_budget_changes_while_the_sweep_runs_and_its_driver_may_die(
    drivers_once: Drivers, sweeps: SweepRequests
) -> None:
    sweep = sweeps.submit(submission(drivers_once, trials=MANY, epochs=4))
    drivers_once.await_epochs(sweep.id)
    changed = sweeps.change(sweep.id, assign=["budget.trials=1"])
    assert changed.settings["budget.trials"] == 1
    begun = time.monotonic()
    until(lambda: drivers_once.sweep(sweep.id).state is SweepState.COMPLETED, "the sweep did not end")
    assert time.monotonic() - begun < 60
    few = len(drivers_once.trials(sweep.id))
    assert few < MANY / 4
    assert {trial.state for trial in drivers_once.trials(sweep.id)} == {TrialState.COMPLETED}
    with pytest.raises(UsageError, match=rf"meltpoint resume {sweep.id} --set budget.trials=\d+$"):
        sweeps.change(sweep.id, assign=["budget.trials=9"])

    sweep = sweeps.submit(submission(drivers_once, trials=2, epochs=20))
    until(lambda: running(drivers_once, sweep.id) == 2, "two lanes were not used")
    sweeps.change(sweep.id, assign=["budget.trials=4"])
    until(lambda: len(drivers_once.trials(sweep.id)) == 3, "no further trial was drawn")
    driver = drivers_once.driver_of(sweep.id)
    assert driver is not None
    driver.kill()
    sweeps.change(sweep.id, assign=["budget.trials=5"])
    until(lambda: drivers_once.sweep(sweep.id).restarts == 1, "no other driver began")
    drivers_once.await_completed([sweep.id])
    trials = drivers_once.trials(sweep.id)
    assert [trial.state for trial in trials] == [TrialState.COMPLETED] * 5
    assert drivers_once.sweep(sweep.id).restarts == 1
    assert drivers_once.check_rows(sweep.id) == (0, 0)


NET = """
import {imports}
from torch import nn

def net():
    return {{"stem": nn.Conv2d(3, 8, 3, 2), "middle": nn.Conv2d(8, 8, 3, 2), "last": nn.Conv2d(8, 8, 3, 2)}}
"""


def test_points_may_name_an_own_backbone_whose_stages_the_driver_counts(
    drivers_once: Drivers, sweeps: SweepRequests
) -> None:
    with drivers_once.ledger() as ledger:
        ledger.users.change("admin", own_code=True)
    (drivers_once.folder / "own_net.py").write_text(NET.format(imports="math"))
    (drivers_once.folder / "broken_net.py").write_text(NET.format(imports="no_such_module"))
    points = (
        "name: own\ndata: {source: photos, image_size: 32, split: {val: 0.2, confirm: 0.1, test: 0.2, seed: 0}}\n"
        "space: {backbone: 'own_net:net', weights: random, freeze_depth: {values: [0, -1, all]}, batch_size: 16}\n"
        "search: {algorithm: points, points: [{freeze_depth: -1}, {freeze_depth: all}]}\n"
        "budget: {epochs: 1}\nresources: {gpu: 0}\n"
    )
    file = str(drivers_once.folder / "sweep.yaml")
    sweep = sweeps.submit(Submission(text=points, file=file))
    drivers_once.await_state(sweep.id, SweepState.COMPLETED)
    done = sweeps.find(sweep.id)
    assert (done.own_stages("own_net:net"), done.drawn) == (3, ["freeze_depth"])
    assert sorted(row[4] for row in sweeps.leaderboard(sweep.id).cells()) == ["-1", "all"]
    with pytest.raises(MeltpointError, match="no_such_module"):
        sweeps.submit(Submission(text=points.replace("own_net", "broken_net"), file=file))
    with pytest.raises(MeltpointError, match=r"points\[0\].freeze_depth: lies outside the space, which has .* \(-5\)"):
        sweeps.submit(Submission(text=points.replace("[{freeze_depth: -1}", "[{freeze_depth: -5}"), file=file))


def _reports(events: list[Event], trial_id: str) -> list[int]:
    return [
        event.payload["epochs"]
        for event in events
        if event.kind is EventKind.TRIAL_REPORTED and event.trial_id == trial_id
    ]
