"""The contract of requests about sweeps, over a home, and over a service: a real API before a real ledger."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from search_spaces import MeltpointError, Recipe, SpecError, parse_spec
from service.clients import Connection
from service.clients.remote_sweeps import RemoteSweeps
from service.clocks import now_ms
from service.confirmations.readings import compute_decision
from service.errors import ConflictError, NotFoundError, SweepNotFoundError, UnavailableError, UsageError
from service.ledgers import (
    Ending,
    EventKind,
    Ledger,
    Promotion,
    PromotionAction,
    Role,
    Sweep,
    SweepAction,
    SweepState,
    TrialPhase,
    TrialState,
)
from service.runs.leases import driving
from service.settings import Home
from service.sweeps import HomeSweeps, Submission, SweepRequests
from tests.contracts.services import ApiServer, Driver, beat_drivers, signed_in
from tests.service.confirmations.searched_sweeps import SearchedSweep
from tests.service.sweeps.sweeps import SPEC, add_sweep, add_trials

REGISTERED = {"uri": "models:/cells@candidate", "version": "1"}


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with closing(Ledger.open(home, clock=now_ms)) as ledger:
        yield ledger


@pytest.fixture
def driven(home: Home, ledger: Ledger) -> Iterator[Callable[[Sweep], Sweep]]:
    """Return a function that holds the lease of a sweep until the test ends, so that the sweep counts as driven."""
    with ExitStack() as stack:

        def drive(sweep: Sweep) -> Sweep:
            stack.enter_context(driving(home, ledger, sweep.id))
            return sweep

        yield drive


def submission(text: str = SPEC, key: str | None = None, assign: tuple[str, ...] = ()) -> Submission:
    return Submission(text=text, file="sweep.yaml", assign=assign, key=key)


def add_owned_sweep(ledger: Ledger) -> Sweep:
    """Return a paused sweep that the admin has submitted."""
    spec = parse_spec(SPEC, file="sweep.yaml")
    sweep, _ = ledger.sweeps.submit(
        name=spec.name,
        spec_text=SPEC,
        spec_file="sweep.yaml",
        metric=spec.metric.name,
        goal=spec.metric.goal,
        seed=spec.seed,
        settings={},
        owner="admin",
    )
    for state in (SweepState.QUEUED, SweepState.RUNNING, SweepState.PAUSING, SweepState.PAUSED):
        sweep = ledger.sweeps.move(sweep.id, state)
    return sweep


def test_sweeps_are_listed_newest_first_filtered_and_paged(requests: SweepRequests, ledger: Ledger) -> None:
    first, second, third = (
        add_sweep(ledger, state) for state in (SweepState.PAUSED, SweepState.COMPLETED, SweepState.PAUSED)
    )
    add_trials(ledger, second, 0.5, 0.75)

    def listed(**filters: object) -> list[str]:
        return [summary.sweep.id for summary in requests.list(**filters)]  # type: ignore[arg-type]

    assert set(listed()) == {first.id, second.id, third.id}
    everything = listed()
    assert listed(limit=2) == everything[:2]
    assert listed(after=everything[0]) == everything[1:]
    assert listed(states=[SweepState.COMPLETED]) == [second.id]
    assert listed(states=[SweepState.COMPLETED, SweepState.PAUSED]) == everything
    assert listed(name="cells") == everything
    assert listed(name="other") == listed(owner="nobody") == []
    (row,) = [summary.as_json() for summary in requests.list(states=[SweepState.COMPLETED])]
    assert (row["trials"], row["best_value"], row["state"]) == (2, 0.75, "completed")


def test_a_new_home_has_no_sweeps(requests: SweepRequests) -> None:
    assert requests.list() == []
    assert requests.queue() == []


def test_a_sweep_is_found_by_id_prefix_name_and_last(requests: SweepRequests, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.PAUSED)
    for reference in (sweep.id, sweep.id[:-1], "cells", "last"):
        assert requests.find(reference).id == sweep.id
    assert requests.find("last").settings == sweep.settings


@pytest.mark.parametrize("reference", ["fish", "a/b", "s-..", "ü", "%2e"])
def test_an_unknown_sweep_is_refused_by_every_request(
    requests: SweepRequests, ledger: Ledger, drivers: None, reference: str
) -> None:
    add_sweep(ledger, SweepState.PAUSED)
    asks: list[Callable[[], object]] = [
        lambda: requests.find(reference),
        lambda: requests.status(reference),
        lambda: requests.leaderboard(reference),
        lambda: requests.report(reference),
        lambda: requests.report_page(reference),
        lambda: requests.compare(reference, "last"),
        lambda: requests.compare("last", reference),
        lambda: requests.spec(reference),
        lambda: requests.recipe(reference),
        lambda: requests.promote(reference),
        lambda: requests.act(reference, SweepAction.PAUSE),
        lambda: requests.resume(reference),
        lambda: requests.change(reference, priority=1),
        lambda: requests.delete(reference),
        lambda: list(requests.events(reference)),
        lambda: list(requests.logs(reference)),
    ]
    for ask in asks:
        with pytest.raises(SweepNotFoundError) as caught:
            ask()
        ways = ("the only one is s-", "to see the sweeps: meltpoint ls")
        assert str(caught.value).startswith(tuple(f"no sweep {reference}; {way}" for way in ways))


def test_status_leaderboard_and_comparison_are_those_of_the_ledger(
    requests: SweepRequests, ledger: Ledger, home: Home
) -> None:
    first, second = add_sweep(ledger, SweepState.COMPLETED), add_sweep(ledger, SweepState.PAUSED)
    add_trials(ledger, first, 0.5, 0.75, 0.25)
    add_trials(ledger, second, 0.5)
    here = HomeSweeps(home)
    assert requests.status(first.id).as_json() == here.status(first.id).as_json()
    theirs, ours = requests.leaderboard(first.id), here.leaderboard(first.id)
    assert (theirs.as_json(), theirs.header(), theirs.cells()) == (ours.as_json(), ours.header(), ours.cells())
    assert theirs.best is not None
    assert theirs.best.best_value == 0.75
    assert requests.compare(first.id, second.id).as_json() == here.compare(first.id, second.id).as_json()
    assert requests.spec(first.id) == SPEC


def test_the_report_is_that_of_the_ledger_and_its_page_needs_no_other_file(
    requests: SweepRequests, ledger: Ledger, home: Home
) -> None:
    sweep = add_sweep(ledger, SweepState.COMPLETED)
    add_trials(ledger, sweep, 0.5, 0.75, 0.25)
    report = requests.report(sweep.id)
    assert report == HomeSweeps(home).report(sweep.id)
    assert (report.headline.standing, report.headline.value) == ("unconfirmed", 0.75)
    page = requests.report_page("last", with_images=False)
    assert page.startswith("<!doctype html>")
    assert "0.7500" in page


def test_the_recipe_is_that_of_the_best_finished_trial(requests: SweepRequests, ledger: Ledger, home: Home) -> None:
    sweep = add_sweep(ledger, SweepState.COMPLETED)
    ids = add_trials(ledger, sweep, 0.5, 0.75, 0.25)
    file = requests.recipe(sweep.id)
    assert (file.chosen.how, file.chosen.trial, file.chosen.trials) == ("unconfirmed", ids[1], 3)
    assert (file.score.split, file.score.value, file.score.mean_interval) == ("val", 0.75, None)
    assert (file.data.source, file.data.image_size, file.training.epochs) == ("digits", 16, 1)
    assert file.hyperparameters == Recipe()
    assert file.is_as_exported
    assert file == HomeSweeps(home).recipe(sweep.id)


def test_the_recipe_of_a_confirmed_sweep_is_its_winner(requests: SweepRequests, ledger: Ledger, home: Home) -> None:
    searched = SearchedSweep(ledger, {0.0: 0.6, 0.25: 0.85, 0.5: 0.62})
    confirmation = searched.plan(seeds=2)
    searched.retrain(confirmation)
    decided = replace(confirmation, decision=compute_decision(ledger, searched.sweep, confirmation))
    ledger.sweeps.note(searched.sweep.id, confirmation=decided.as_json())
    file = requests.recipe("last")
    assert (file.chosen.how, file.recipe["dropout"]["rate"]) == ("confirmed", 0.25)
    assert file.score.training_interval is not None
    assert file.is_as_exported
    assert file == HomeSweeps(home).recipe("last")


def test_a_sweep_without_a_result_has_no_recipe(
    requests: SweepRequests, ledger: Ledger, driven: Callable[[Sweep], Sweep]
) -> None:
    running, empty, failed = (
        add_sweep(ledger, state) for state in (SweepState.RUNNING, SweepState.FAILED, SweepState.FAILED)
    )
    driven(running)
    trial = ledger.trials.start_attempt(
        ledger.trials.create(failed.id, number=0, point={}, recipe={}, identity="0", seed=0).id
    )
    ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.FAILED, error="out of memory"))
    for sweep, message in (
        (running, f"is running: its best trial may still change. Wait for its end with: meltpoint watch {running.id}"),
        (empty, "has no recipe to export: no trial has finished with a score"),
        (failed, f"its only trial has failed; see why with: meltpoint trials {failed.id}"),
    ):
        with pytest.raises(UsageError) as caught:
            requests.recipe(sweep.id)
        assert message in str(caught.value)


def test_a_running_sweep_is_asked_for_an_action(
    requests: SweepRequests, ledger: Ledger, driven: Callable[[Sweep], Sweep]
) -> None:
    sweep = driven(add_sweep(ledger, SweepState.RUNNING))
    for action in SweepAction:
        assert requests.act(sweep.id, action).state is SweepState.RUNNING
        assert ledger.sweeps.requested_action(sweep.id) is action


def test_an_action_that_the_state_does_not_allow_is_refused_with_the_same_words(
    requests: SweepRequests, ledger: Ledger
) -> None:
    done, paused = add_sweep(ledger, SweepState.COMPLETED), add_sweep(ledger, SweepState.PAUSED)
    with pytest.raises(UsageError, match=f"^{done.id} is completed: there is nothing to pause$"):
        requests.act(done.id, SweepAction.PAUSE)
    with pytest.raises(UsageError, match=f"^{paused.id} is paused: there is nothing to stop$"):
        requests.act(paused.id, SweepAction.STOP)
    assert requests.act(paused.id, SweepAction.CANCEL).state is SweepState.CANCELLED


@pytest.mark.usefixtures("drivers")
def test_a_sweep_is_submitted_once_for_a_key(requests: SweepRequests, ledger: Ledger, home: Home) -> None:
    with Driver(home):
        sweep = requests.submit(submission(key="k1", assign=("budget.trials=5",)))
        assert (sweep.name, sweep.state, sweep.settings["budget.trials"]) == ("cells", SweepState.QUEUED, 5)
        assert requests.submit(submission(key="k1", assign=("budget.trials=5",))).id == sweep.id
        with pytest.raises(ConflictError, match="k1"):
            requests.submit(submission(key="k1", assign=("budget.trials=6",)))
        assert requests.submit(submission()).id != sweep.id
    assert len(requests.list()) == 2
    assert ledger.sweeps.get(sweep.id).owner == "admin"


@pytest.mark.usefixtures("drivers")
def test_every_problem_of_a_submitted_file_has_its_place(requests: SweepRequests) -> None:
    with pytest.raises(SpecError) as caught:
        requests.submit(
            submission("name: cells\ndata: {source: digits, image_sise: 4}\nspace: {}\nbudget: {trials: 0}\n")
        )
    lines = str(caught.value).splitlines()
    assert [line.split(" ")[0] for line in lines][:1] == ["sweep.yaml:2:24"]
    assert lines[-1] == "sweep.yaml:4:10 budget.trials: must be >= 1 (0)"


@pytest.mark.usefixtures("drivers")
def test_a_sweep_that_a_driver_refuses_is_gone_and_its_reason_is_told(requests: SweepRequests, home: Home) -> None:
    reason = "data.source: /data/photos cannot be read by the workers"
    with Driver(home, refusal=reason), pytest.raises(MeltpointError, match=f"^{reason}$"):
        requests.submit(submission())
    assert requests.list() == []


def test_without_drivers_nothing_is_accepted(requests: SweepRequests, ledger: Ledger) -> None:
    paused = add_owned_sweep(ledger)
    with pytest.raises(UnavailableError, match="start"):
        requests.submit(submission())
    with pytest.raises(UnavailableError, match="start"):
        requests.resume(paused.id)
    assert len(requests.list()) == 1


@pytest.mark.usefixtures("drivers")
def test_a_sweep_at_rest_is_queued_again(requests: SweepRequests, ledger: Ledger) -> None:
    sweep = add_owned_sweep(ledger)
    with pytest.raises(SpecError, match=r"--set budget.trils=64: unknown key"):
        requests.resume(sweep.id, ["budget.trils=64"])
    with pytest.raises(UsageError, match=f"^search cannot change when {sweep.id} is resumed"):
        requests.resume(sweep.id, ["search.seed=1"])
    resumed = requests.resume(sweep.id, ["budget.trials=64"])
    assert (resumed.id, resumed.state) == (sweep.id, SweepState.QUEUED)
    assert "64" in requests.spec(sweep.id)
    with pytest.raises(UsageError, match="is queued: there is nothing to resume"):
        requests.resume(sweep.id)


def test_priority_and_slot_cap_change_and_the_cap_is_removed(requests: SweepRequests, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.PAUSED)
    changed = requests.change(sweep.id, priority=5, slot_cap=2)
    assert (changed.priority, changed.slot_cap) == (5, 2)
    changed = requests.change(sweep.id, slot_cap=0)
    assert (changed.priority, changed.slot_cap) == (5, None)


@pytest.mark.usefixtures("drivers")
def test_a_budget_changes_while_the_sweep_is_queued_runs_and_is_paused(
    requests: SweepRequests, ledger: Ledger, home: Home, driven: Callable[[Sweep], Sweep]
) -> None:
    with Driver(home):
        queued = requests.submit(submission())
    sweeps = [queued, driven(add_sweep(ledger, SweepState.RUNNING)), add_sweep(ledger, SweepState.PAUSED)]
    for sweep in sweeps:
        changed = requests.change(sweep.id, assign=["budget.trials=64", "budget.wall=1h"], priority=-1)
        assert (changed.id, changed.state, changed.priority) == (sweep.id, requests.find(sweep.id).state, -1)
        assert (changed.settings["budget.trials"], changed.settings["budget.wall"]) == (64, 3600)
        assert parse_spec(requests.spec(sweep.id), file="sweep.yaml").budget.trials == 64
        assert "budget.trials from" in list(requests.logs(sweep.id))[-1]


def test_a_change_of_anything_else_or_after_the_end_is_refused_with_the_same_words(
    requests: SweepRequests, ledger: Ledger
) -> None:
    paused, done = add_sweep(ledger, SweepState.PAUSED), add_sweep(ledger, SweepState.COMPLETED)
    with pytest.raises(SpecError, match=r"--set budget.trils=64: unknown key"):
        requests.change(paused.id, assign=["budget.trils=64"])
    with pytest.raises(UsageError, match=f"^budget.epochs cannot change before {paused.id} has ended"):
        requests.change(paused.id, assign=["budget.trials=64", "budget.epochs=9"])
    with pytest.raises(UsageError, match=f"^search cannot change before {paused.id} has ended"):
        requests.change(paused.id, assign=["search.seed=1"])
    with pytest.raises(
        UsageError, match=f"^{done.id} is completed: .*meltpoint resume {done.id} --set budget.trials=2"
    ):
        requests.change(done.id, assign=["budget.trials=64"])
    assert ledger.sweeps.get(paused.id).spec_text == paused.spec_text
    ledger.sweeps.note(paused.id, phase=TrialPhase.CONFIRM)
    with pytest.raises(UsageError, match=f"^{paused.id} confirms its best recipes: its search is over"):
        requests.change(paused.id, assign=["budget.trials=64"])


def test_a_promotion_that_is_not_possible_is_refused_with_the_same_words(
    requests: SweepRequests, ledger: Ledger
) -> None:
    failed = add_sweep(ledger, SweepState.FAILED)
    with pytest.raises(UsageError, match=f"{failed.id} has no model to promote"):
        requests.promote(failed.id)
    with pytest.raises(UsageError, match="MLflow keeps `latest`"):
        requests.promote(failed.id, alias="latest")
    with pytest.raises(UsageError, match="--model a:b: must contain neither / nor :"):
        requests.promote(failed.id, model="a:b")


def test_the_history_of_aliases_is_that_of_the_ledger(requests: SweepRequests, ledger: Ledger) -> None:
    assert requests.models() == []
    for name in ("cells", "a/b", "."):
        with pytest.raises(NotFoundError, match=f"nothing was promoted to {name}; `meltpoint models` lists what was"):
            requests.model_history(name)
    promote = PromotionAction.PROMOTE
    first = Promotion(model="cells", alias="champion", version="1", action=promote, evidence={"confirmed": True})
    moves = [ledger.promotions.add(move) for move in (first, replace(first, version="2", previous="1"))]
    moves.append(ledger.promotions.add(replace(first, version="1", previous="2", action=PromotionAction.ROLLBACK)))
    assert requests.model_history("cells") == moves[::-1]
    (alias,) = requests.models()
    assert (alias.last, alias.origin) == (moves[2], moves[0])


def test_a_sweep_that_nobody_drives_is_deleted_with_its_folder(
    requests: SweepRequests, ledger: Ledger, home: Home, driven: Callable[[Sweep], Sweep]
) -> None:
    running, done = driven(add_sweep(ledger, SweepState.RUNNING)), add_sweep(ledger, SweepState.COMPLETED)
    add_trials(ledger, done, 0.5)
    home.sweep(done.id).mkdir(parents=True)
    with pytest.raises(UsageError, match=f"{running.id} is running; end it first with: meltpoint cancel"):
        requests.delete(running.id)
    assert requests.files(done.id).checkpoint_bytes == 0
    if requests.is_remote:
        with pytest.raises(UsageError, match="a service keeps the runs of a deleted sweep"):
            requests.delete(done.id, with_runs=True)
    assert requests.delete(done.id).sweep.id == done.id
    assert not home.sweep(done.id).exists()
    with pytest.raises(SweepNotFoundError):
        requests.find(done.id)


def test_a_sweep_whose_driver_still_sends_is_deleted_once_the_driver_has_ended(
    requests: SweepRequests, ledger: Ledger, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = add_sweep(ledger, SweepState.COMPLETED)
    with driving(home, ledger, done.id):
        with monkeypatch.context() as patch:
            patch.setattr("service.sweeps.changes._DRIVER_SECONDS", 0.2)
            with pytest.raises(UsageError, match=f"{done.id} is completed, but its driver is still sending MLflow"):
                requests.delete(done.id)
        deleting = threading.Thread(target=requests.delete, args=(done.id,))
        deleting.start()
        time.sleep(0.3)
        assert requests.find(done.id).id == done.id
    deleting.join()
    with pytest.raises(SweepNotFoundError):
        requests.find(done.id)


def test_the_address_of_mlflow_is_known_unless_its_store_is_a_file(
    requests: SweepRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    if requests.is_remote:
        assert str(requests.mlflow_address).endswith("/mlflow")
        return
    assert requests.mlflow_address is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example.org/")
    assert requests.mlflow_address == "http://mlflow.example.org"


def test_events_come_in_order_and_from_where_the_reader_was(requests: SweepRequests, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5)
    ledger.sweeps.move(sweep.id, SweepState.FAILED, error="no more")
    events = list(requests.events(sweep.id))
    assert events == ledger.events.after(sweep.id, 0)
    assert [event.kind for event in events][-1] is EventKind.SWEEP_STATE
    assert list(requests.events(sweep.id, after=events[1].id)) == events[2:]
    assert list(requests.events(sweep.id, follow=True)) == events


def test_a_follower_sees_everything_until_the_model_is_registered(
    requests: SweepRequests, ledger: Ledger, driven: Callable[[Sweep], Sweep]
) -> None:
    sweep = driven(add_sweep(ledger, SweepState.RUNNING))

    def work() -> None:
        for number in range(3):
            ledger.events.add(sweep.id, EventKind.NOTICE, {"text": f"notice {number}"})
            time.sleep(0.05)
        ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
        time.sleep(0.2)
        ledger.sweeps.note(sweep.id, registered=REGISTERED)

    worker = threading.Thread(target=work)
    worker.start()
    events = list(requests.events(sweep.id, follow=True))
    worker.join()
    assert events == ledger.events.after(sweep.id, 0)
    assert events[-1].kind is EventKind.REGISTERED
    assert requests.find(sweep.id).registered == REGISTERED


def test_the_log_has_a_line_for_what_happened(requests: SweepRequests, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5)
    ledger.events.add(sweep.id, EventKind.NOTICE, {"text": "[odd] notice"})
    ledger.sweeps.move(sweep.id, SweepState.FAILED, error="no more")
    lines = [line.split(" ", 1)[1] for line in requests.logs(sweep.id)]
    assert lines == [
        f"{sweep.id} validating",
        f"{sweep.id} running",
        f"{sweep.id}-0000 started",
        f"{sweep.id}-0000 epoch 1: 0.5000",
        f"{sweep.id}-0000 completed, best 0.5000",
        f"{sweep.id} [odd] notice",
        f"{sweep.id} failed: no more",
    ]
    assert [line.split(" ", 1)[1] for line in requests.logs(sweep.id, follow=True)] == lines


@pytest.mark.usefixtures("drivers")
def test_the_queue_shows_what_runs_and_then_what_waits(
    requests: SweepRequests, ledger: Ledger, home: Home, driven: Callable[[Sweep], Sweep]
) -> None:
    running = driven(add_sweep(ledger, SweepState.RUNNING))
    with Driver(home):
        low = requests.submit(submission())
        high = requests.submit(Submission(text=SPEC, file="sweep.yaml", priority=5, slot_cap=1))
    entries = requests.queue()
    assert [(entry.sweep_id, entry.position) for entry in entries] == [(running.id, None), (high.id, 1), (low.id, 2)]
    assert (entries[1].priority, entries[1].slot_cap, entries[1].state) == (5, 1, SweepState.QUEUED)


def test_the_queue_has_the_limits_of_the_drivers_and_says_if_there_are_none(
    requests: SweepRequests, ledger: Ledger, driven: Callable[[Sweep], Sweep]
) -> None:
    active, waiting = (driven(add_owned_sweep(ledger)) for _ in range(2))
    for sweep in (active, waiting):
        ledger.sweeps.move(sweep.id, SweepState.QUEUED)
    ledger.sweeps.move(active.id, SweepState.RUNNING)
    ledger.sweeps.explain_waiting(waiting.id, "a reason that the drivers wrote when they lived")
    (entry,) = [entry for entry in requests.queue() if entry.sweep_id == waiting.id]
    assert str(entry.reason).startswith("no process drives sweeps of this ledger")
    ledger.sweeps.explain_waiting(waiting.id, None)
    beat_drivers(ledger, limits={"max_active_sweeps": 1, "max_waiting": 200})
    (entry,) = [entry for entry in requests.queue() if entry.sweep_id == waiting.id]
    assert entry.reason == "waits for a place: 1 sweeps are under way, the limit of this service"


def test_following_and_submitting_survive_a_restart_of_the_service(home: Home, ledger: Ledger) -> None:
    beat_drivers(ledger)
    server = ApiServer(home)
    server.start()
    sweep = add_owned_sweep(ledger)
    ledger.sweeps.move(sweep.id, SweepState.QUEUED)

    def work() -> None:
        for number in range(10):
            ledger.events.add(sweep.id, EventKind.NOTICE, {"text": f"notice {number}"})
            time.sleep(0.1)
        ledger.sweeps.move(sweep.id, SweepState.FAILED)

    with Connection(signed_in(home, server, "admin", Role.ADMIN)) as connection:
        requests = RemoteSweeps(connection)
        events = requests.events(sweep.id, follow=True)
        received = [next(events)]
        worker = threading.Thread(target=work)
        worker.start()
        server.stop()
        time.sleep(0.3)
        submitted: list[Sweep] = []
        submitter = threading.Thread(target=lambda: submitted.append(requests.submit(submission())))
        submitter.start()
        time.sleep(0.2)
        server.start()
        with Driver(home):
            submitter.join(timeout=30)
        received += events
        worker.join()
    server.stop()
    assert received == ledger.events.after(sweep.id, 0)
    assert [row.sweep.id for row in HomeSweeps(home).list(name="cells", limit=1)] == [submitted[0].id]
