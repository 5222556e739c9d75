"""Confirmations and promotions through a service, over HTTP."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

from service import Client
from service.clients import Connection
from service.clients.remote_sweeps import RemoteSweeps
from service.commands.app import app
from service.confirmations import Outcome
from service.ledgers import Event, EventKind, Sweep, SweepAction, SweepState, TrialPhase, TrialState
from service.promotions import PromotionStatus
from service.settings import Context
from service.sweeps import Submission, SweepRequests
from tests.running_services import Drivers, until
from tests.service.commands.services import serving

pytestmark = pytest.mark.slow

POINT = """\
name: fresh-seeds
data: {source: digits, image_size: 32}
resources: {gpu: 0}
search:
  algorithm: points
  points:
    - {backbone: timm/test_efficientnet, weights: random, freeze_depth: all, optimizer.lr: 1.0e-5}
"""
SWEEP = f"""\
{POINT}\
    - {{backbone: timm/test_efficientnet, weights: random, freeze_depth: all, optimizer.lr: 1.0e-2}}
budget: {{epochs: 10}}
scheduler: {{type: none}}
confirm: {{seeds: 2}}
register: {{model: fresh-seeds}}
"""


@pytest.fixture(scope="module")
def context(drivers_once: Drivers) -> Iterator[Context]:
    """An API beside the drivers, as its admin; both use the MLflow store of the home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", drivers_once.home.local_tracking_uri)
        with serving(drivers_once.home.root, "--role", "api", "--port", "0") as service:
            patch.delenv("MLFLOW_TRACKING_URI")
            token = drivers_once.home.admin_token.read_text().strip()
            yield Context(name="tested", url=service.url, token=token, origin="test")


@pytest.fixture(scope="module")
def sweeps(context: Context) -> Iterator[SweepRequests]:
    with RemoteSweeps(Connection(context)) as requests:
        yield requests


@pytest.fixture(scope="module")
def confirmed(drivers_once: Drivers, sweeps: SweepRequests) -> Sweep:
    """A sweep that was submitted with `confirm:` and has come to its end."""
    sweep = sweeps.submit(Submission(text=SWEEP, file=str(drivers_once.folder / "fresh.yaml")))
    drivers_once.await_completed([sweep.id])
    return sweeps.find(sweep.id)


def meltpoint(context: Context, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Run a command on the service; return its exit code, its data, and what else it tells, an error included."""
    monkeypatch.setenv("MELTPOINT_SERVICE", context.url)
    monkeypatch.setenv("MELTPOINT_TOKEN", context.token)
    result = CliRunner().invoke(app, [*arguments])
    return result.exit_code, result.stdout, f"{result.stderr}{result.exception or ''}"


def test_a_sweep_with_confirm_is_decided_at_its_end(confirmed: Sweep, sweeps: SweepRequests) -> None:
    events = list[Event](sweeps.events(confirmed.id, follow=True))
    states = [event.payload["state"] for event in events if event.kind is EventKind.SWEEP_STATE]
    assert states == ["validating", "queued", "running", "completed"]
    kinds = Counter(event.kind for event in events)
    assert (kinds[EventKind.CONFIRMING], kinds[EventKind.DECIDED], kinds[EventKind.TRIAL_ENDED]) == (1, 1, 6)
    confirmation = sweeps.confirmation(confirmed.id)
    assert confirmation is not None
    assert confirmation.decision is not None
    assert confirmation.decision.outcome is Outcome.WINNER
    assert len(sweeps.leaderboard(confirmed.id).trials) == 2
    assert [retraining.seed for retraining in sweeps.retrainings(confirmed.id)] == [
        seed for seed in confirmation.seeds[:2] for _ in range(2)
    ]


def test_the_commands_print_the_decision_of_a_service(
    confirmed: Sweep, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = meltpoint(context, monkeypatch, "confirm", confirmed.id, "-o", "json")
    assert (code, json.loads(out)["decision"]["outcome"]) == (0, "winner"), err
    code, out, err = meltpoint(context, monkeypatch, "confirm", confirmed.id, "--follow")
    assert (code, "the winner is trial 1: " in out) == (0, True), err
    code, out, err = meltpoint(context, monkeypatch, "status", confirmed.id)
    assert (code, "the winner is trial 1: " in out) == (0, True), err
    assert f"next: meltpoint export {confirmed.id}" in err
    code, out, err = meltpoint(context, monkeypatch, "watch", confirmed.id)
    assert (code, "the winner is trial 1: " in out) == (0, True), err
    assert f"next: meltpoint export {confirmed.id}" in err


def test_a_confirmed_model_is_promoted_and_listed_over_http_and_the_first_cannot_go_back(
    confirmed: Sweep, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = "over-http"
    with Client(url=context.url, token=context.token) as client:
        outcome = client.promote(confirmed.id, model=model)
        assert (outcome.status, outcome.version) == (PromotionStatus.PROMOTED, "1"), outcome.sentences
        assert [entry.last.model for entry in client.models()] == [model]
        assert [move.user_name for move in client.model_history(model)] == ["admin"]
    code, out, err = meltpoint(context, monkeypatch, "models", "-o", "json")
    assert (code, [entry["model"] for entry in json.loads(out)]) == (0, [model]), err
    code, _, err = meltpoint(context, monkeypatch, "rollback", model)
    assert (code, f"{model}@champion has no earlier version" in err) == (1, True), err


def test_an_alias_goes_to_another_sweeps_model_and_back_over_http(
    confirmed: Sweep, drivers_once: Drivers, context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The other sweep has one trial and no confirmation, so its model takes the alias only if it is forced to."""
    model, spec = "to-and-fro", tmp_path / "other.yaml"
    spec.write_text(POINT + "budget: {epochs: 1}\n")
    with Client(url=context.url, token=context.token) as client:
        assert client.promote(confirmed.id, model=model).status is PromotionStatus.PROMOTED
        other = client.submit(spec)
        drivers_once.await_completed([other.id])
        forced = client.promote(other.id, model=model, unconfirmed=True, force=True)
        assert (forced.status, forced.version) == (PromotionStatus.PROMOTED, "2"), forced.sentences
    code, _, err = meltpoint(context, monkeypatch, "rollback", model)
    assert (code, f"{model}@champion is version 1 now" in err) == (0, True), err
    with Client(url=context.url, token=context.token) as client:
        moves = [(move.action, move.version) for move in client.model_history(model)]
        assert moves == [("rollback", "1"), ("promote", "2"), ("promote", "1")]
    alias = MlflowClient(tracking_uri=drivers_once.home.local_tracking_uri).get_model_version_by_alias(
        model, "champion"
    )
    assert str(alias.version) == "1"


def test_a_confirmation_is_cancelled_begun_again_and_survives_its_driver(
    confirmed: Sweep, drivers_once: Drivers, sweeps: SweepRequests
) -> None:
    def begun(state: TrialState) -> int:
        with drivers_once.ledger() as ledger:
            trials = ledger.trials.list(confirmed.id, TrialPhase.CONFIRM)
        return sum(trial.state is state for trial in trials)

    before = sweeps.confirmation(confirmed.id)
    assert sweeps.confirm(confirmed.id, {"seeds": 6}).state is SweepState.QUEUED
    until(lambda: begun(TrialState.RUNNING), "no retraining began")
    sweeps.act(confirmed.id, SweepAction.CANCEL)
    cancelled = drivers_once.await_state(confirmed.id, SweepState.COMPLETED)
    assert cancelled.error == "its confirmation was cancelled by `meltpoint cancel`"
    status = sweeps.status(confirmed.id).confirmation
    assert status is not None
    assert 4 <= status.finished < status.planned == 12
    assert sweeps.confirm(confirmed.id).state is SweepState.QUEUED
    until(lambda: begun(TrialState.RUNNING), "no retraining began")
    driver = drivers_once.driver_of(confirmed.id)
    assert driver is not None
    driver.kill()
    drivers_once.await_state(confirmed.id, SweepState.INTERRUPTED, SweepState.QUEUED, SweepState.RUNNING)
    until(lambda: drivers_once.sweep(confirmed.id).state is SweepState.COMPLETED, "the confirmation did not end")
    assert drivers_once.sweep(confirmed.id).restarts == 1
    assert begun(TrialState.COMPLETED) == 12
    sweeps.confirm(confirmed.id, {"seeds": 2})
    until(lambda: drivers_once.sweep(confirmed.id).state is SweepState.COMPLETED, "the confirmation did not end")
    assert sweeps.confirmation(confirmed.id) == before, "the same retrainings give the same decision"
