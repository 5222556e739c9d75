"""Models promoted, refused and rolled back: a real registry, real models and real test images.

The models of the shared sweep are registered anew here, so this file comes after those that look at its candidate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from service.clocks import now_ms
from service.confirmations import Decision, Outcome, RecipeEstimate
from service.errors import UsageError
from service.ledgers import Ledger, MessageKind, PackedPredictions, PromotionAction, Trial
from service.promotions import PromotionStatus
from service.runs.runner import Outcome as SweepOutcome
from service.settings import Home
from service.sweeps import HomeSweeps
from trainables.stores.prepared import PreparedData
from trainables.training.predictions import pack, unpack

pytestmark = pytest.mark.slow


@pytest.fixture
def client(home: Home, tracks_home: None) -> MlflowClient:
    return MlflowClient(tracking_uri=home.tracking_uri)


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with closing(Ledger.open(home, clock=now_ms)) as ledger:
        yield ledger


@pytest.fixture
def sweeps(home: Home) -> HomeSweeps:
    return HomeSweeps(home)


@pytest.fixture
def trials(finished_sweep: SweepOutcome, ledger: Ledger) -> list[Trial]:
    """The trials that have a model, best first."""
    ranked = [ledger.trials.get(trial.id) for trial in finished_sweep.board.ranked if trial.checkpoint is not None]
    assert len(ranked) >= 2
    return ranked


@pytest.fixture(autouse=True)
def unconfirmed(finished_sweep: SweepOutcome, ledger: Ledger) -> Iterator[None]:
    yield
    ledger.sweeps.note(finished_sweep.sweep.id, confirmation=None)


def _confirm(ledger: Ledger, trial: Trial) -> None:
    """Let the sweep look as if a confirmation had decided for the default, which is the trial's recipe."""
    estimate = RecipeEstimate(
        identity=trial.identity,
        trial_number=trial.number,
        rank=1,
        cost=1.0,
        naive=0.85,
        confirm_mean=0.8,
        pooled_mean=0.8,
    )
    decision = Decision(
        outcome=Outcome.DEFAULT_BEST,
        doubt=None,
        recipe=trial.identity,
        winner=None,
        leader=None,
        probability=None,
        default=estimate,
        finalists=(),
        expected_shortfall=None,
        score=0.8,
        low=0.7,
        high=0.9,
        naive=0.85,
        optimism=0.0,
        agreement=None,
        needed_images=None,
        needs_seeds=False,
        seeds=4,
        val_images=24,
        confirm_images=12,
        retrainings=16,
        gate=0.9,
        tolerance=0.0025,
        confidence=0.95,
    )
    confirmation = {"decision": decision.as_json(), "deployed": trial.id, "test": None}
    ledger.sweeps.note(trial.sweep_id, confirmation=confirmation)


def _tracking(home: Home) -> AbstractContextManager[None]:
    from service.models.logged import tracking_to

    return tracking_to(home.tracking_uri)


def _know(ledger: Ledger, trial: Trial, data: PreparedData, correct: int) -> None:
    """Let the ledger know of a reading in which the trial's model has the first `correct` test images right."""
    labels = data.labels[data.splits["test"]]
    predicted = np.where(np.arange(len(labels)) < correct, labels, (labels + 1) % 3)
    probabilities = np.eye(3)[predicted]
    packed = PackedPredictions(
        split="test", epoch=trial.best_epoch or 0, images=len(labels), packed=pack(probabilities, labels)
    )
    ledger.predictions.add(trial.id, [replace(packed, read_by="decision")])


@pytest.fixture
def data(finished_sweep: SweepOutcome, home: Home, trials: list[Trial]) -> PreparedData:
    from service.promotions.images import SweepImages

    return SweepImages(finished_sweep.sweep, home).open_for(trials[0])


def test_an_unconfirmed_sweep_is_refused_and_promoted_on_demand_once(
    sweeps: HomeSweeps, finished_sweep: SweepOutcome, ledger: Ledger, client: MlflowClient, trials: list[Trial]
) -> None:
    sweep = finished_sweep.sweep.id
    with pytest.raises(UsageError, match=f"{sweep} is unconfirmed: .* meltpoint confirm {sweep}"):
        sweeps.promote(sweep, model="once")
    assert not ledger.promotions.list("once")
    outcome = sweeps.promote(sweep, model="once", unconfirmed=True)
    assert (outcome.status, outcome.version, outcome.previous) == (PromotionStatus.PROMOTED, "1", None)
    again = sweeps.promote(sweep, model="once", unconfirmed=True)
    assert (again.status, again.version) == (PromotionStatus.UNCHANGED, "1")
    assert len(client.search_model_versions("name = 'once'")) == 1
    (move,) = ledger.promotions.list("once")
    assert (move.alias, move.version, move.trial_id, move.user_name) == ("champion", "1", trials[0].id, None)
    assert move.evidence is not None
    assert move.evidence["confirmed"] is False
    known = ledger.predictions.get(trials[0].id, "test")
    assert known is not None
    assert move.evidence["test_images"]["read_by"] == known.read_by
    assert ledger.outbox.count_unsent(sweep) == 0


def test_the_promoted_version_shows_what_speaks_for_it_and_serves(
    sweeps: HomeSweeps, ledger: Ledger, client: MlflowClient, trials: list[Trial], data: PreparedData
) -> None:
    trial = trials[1]
    _confirm(ledger, trial)
    outcome = sweeps.promote(trial.sweep_id, model="shown")
    assert outcome.status is PromotionStatus.PROMOTED, outcome.sentences
    version = client.get_model_version_by_alias("shown", "champion")
    assert version.run_id == trial.mlflow_run_id
    assert version.tags["meltpoint.confirmed"] == "true"
    assert version.tags["meltpoint.outcome"] == "default_best"
    assert version.tags["meltpoint.score_low"] == "0.7"
    assert json.loads(version.tags["meltpoint.classes"]) == ["one", "two", "zero"]
    description = str(version.description)
    assert description.startswith("**The default stands: no finalist is ahead of it.**")
    assert "Expected score: 0.8000, interval 0.7000 to 0.9000. The search had measured 0.8500." in description
    assert "classes in order: one, two, zero" in description
    assert "| optimizer.lr |" in description
    linked = client.get_logged_model(str(version.source).removeprefix("models:/"))
    metrics = {metric.key: metric.value for metric in linked.metrics or ()}
    labels = data.labels[data.splits["test"]]
    served = mlflow.pyfunc.load_model("models:/shown@champion").predict(data.images[data.splits["test"]])
    accuracy = float((np.asarray(served).argmax(1) == labels).mean())
    assert metrics["test/accuracy"] == accuracy
    assert metrics["val/accuracy"] == trial.best_value
    known = ledger.predictions.get(trial.id, "test")
    assert known is not None
    assert float((unpack(known.packed).predicted == labels).mean()) == accuracy


def test_a_worse_model_is_refused_by_the_gate_and_forced_and_rolled_back(
    sweeps: HomeSweeps, ledger: Ledger, client: MlflowClient, trials: list[Trial], data: PreparedData
) -> None:
    good, bad = trials[0], trials[1]
    _know(ledger, good, data, 20)
    _know(ledger, bad, data, 14)
    _confirm(ledger, good)
    assert sweeps.promote(good.sweep_id, model="gate").version == "1"
    _confirm(ledger, bad)
    refused = sweeps.promote(good.sweep_id, model="gate")
    assert (refused.status, refused.version) == (PromotionStatus.REFUSED, "1")
    assert refused.sentences[0].startswith("14 against 20 of 24 test images right: worse than version 1 (p = 0.0312")
    assert refused.evidence["gate"]["only_champion"] == 6
    assert client.get_registered_model("gate").aliases == {"champion": 1}
    assert len(client.search_model_versions("name = 'gate'")) == 1
    forced = sweeps.promote(good.sweep_id, model="gate", force=True)
    assert (forced.status, forced.version, forced.previous) == (PromotionStatus.PROMOTED, "2", "1"), forced.sentences
    assert forced.evidence["forced"] is True
    back = sweeps.rollback("gate")
    assert (back.version, back.previous, back.trial_id) == ("1", "2", good.id)
    assert client.get_registered_model("gate").aliases == {"champion": 1}
    with pytest.raises(UsageError, match="gate@champion has no earlier version"):
        sweeps.rollback("gate")
    actions = [(move.action, move.version) for move in sweeps.model_history("gate")]
    assert actions == [
        (PromotionAction.ROLLBACK, "1"),
        (PromotionAction.PROMOTE, "2"),
        (PromotionAction.PROMOTE, "1"),
    ]
    (alias,) = [entry for entry in sweeps.models() if entry.last.model == "gate"]
    assert alias.last.action is PromotionAction.ROLLBACK
    assert alias.origin is not None
    assert alias.origin.trial_id == good.id


class _Constant(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]
    def predict(self, model_input: list[str]) -> list[str]:
        return model_input


def test_a_champion_that_is_not_ours_is_replaced_only_by_force(
    sweeps: HomeSweeps, ledger: Ledger, client: MlflowClient, trials: list[Trial], home: Home
) -> None:
    mlflow.set_tracking_uri(home.tracking_uri)
    try:
        with mlflow.start_run(experiment_id="0"):
            mlflow.pyfunc.log_model(name="theirs", python_model=_Constant(), registered_model_name="foreign")
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    client.set_registered_model_alias("foreign", "champion", "1")
    _confirm(ledger, trials[0])
    refused = sweeps.promote(trials[0].sweep_id, model="foreign")
    assert refused.status is PromotionStatus.REFUSED
    assert refused.sentences[0] == "version 1 cannot be compared: it was not registered by Meltpoint"
    assert "--force" in refused.sentences[1]
    forced = sweeps.promote(trials[0].sweep_id, model="foreign", force=True)
    assert (forced.version, forced.previous) == ("2", "1")
    assert sweeps.rollback("foreign").version == "1"


def test_a_champion_in_another_size_reads_the_same_photos_in_its_own(
    sweeps: HomeSweeps, ledger: Ledger, client: MlflowClient, trials: list[Trial], data: PreparedData, home: Home
) -> None:
    """Let the present model look like that of another home: its trial is unknown, its size another."""
    from service.models.logged import log_classifier, tracking_to
    from service.models.rebuilt import best_model
    from service.promotions.images import SweepImages

    sweep = ledger.sweeps.get(trials[0].sweep_id)
    other = SweepImages(sweep, home).open_as(24, data.interpolation)
    with tracking_to(home.tracking_uri):
        logged = log_classifier(
            client,
            best_model(trials[1], data),
            other,
            experiment_id=str(sweep.mlflow and sweep.mlflow["experiment_id"]),
            run_id=str(trials[1].mlflow_run_id),
            name="size",
            step=1,
            recipe={},
            tags={},
            metadata={},
        )
        client.create_registered_model("size")
        client.create_model_version("size", source=logged.uri, model_id=logged.model_id)
        model = mlflow.pyfunc.load_model("models:/size/1")
        rows = other.splits["test"]
        expected = int((np.asarray(model.predict(other.images[rows])).argmax(1) == other.labels[rows]).sum())
    client.set_registered_model_alias("size", "champion", "1")
    _confirm(ledger, trials[0])
    outcome = sweeps.promote(trials[0].sweep_id, model="size", force=True)
    assert outcome.evidence["gate"]["champion_correct"] == expected
    assert outcome.evidence["gate"]["same_data"] is False
    assert any("it may have been trained on some of these test images" in text for text in outcome.sentences)


def test_changed_images_are_refused(
    sweeps: HomeSweeps, ledger: Ledger, trials: list[Trial], finished_sweep: SweepOutcome
) -> None:
    photo = next((Path(finished_sweep.sweep.spec_file).parent / "photos" / "one").iterdir())
    content = photo.read_bytes()
    other = next((photo.parents[1] / "two").iterdir())
    try:
        photo.write_bytes(other.read_bytes())
        outcome = sweeps.promote(trials[0].sweep_id, model="changed", unconfirmed=True)
    finally:
        photo.write_bytes(content)
    assert outcome.status is PromotionStatus.REFUSED
    assert "have changed since" in outcome.sentences[0]


def test_a_registry_out_of_reach_keeps_the_request_until_it_can_be_sent(
    sweeps: HomeSweeps,
    ledger: Ledger,
    trials: list[Trial],
    home: Home,
    client: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from service.registry import send_messages

    monkeypatch.setattr("service.tracking.senders.GIVE_UP_SECONDS", 0.5)
    sweep = trials[0].sweep_id
    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "get_registered_model", _unreachable)
        for _ in range(2):
            kept = sweeps.promote(sweep, model="kept", unconfirmed=True)
            assert kept.status is PromotionStatus.WAITING
    assert "connection refused" in kept.sentences[0]
    waiting = [message for message in ledger.outbox.unsent(sweep) if message.kind is MessageKind.PROMOTION]
    assert len(waiting) == 1
    assert send_messages(ledger, home, sweep) is None
    assert client.get_registered_model("kept").aliases == {"champion": 1}
    assert [move.trial_id for move in ledger.promotions.list("kept")] == [trials[0].id]


def _unreachable(*_arguments: Any) -> None:
    raise mlflow.exceptions.MlflowException("API request failed: connection refused")


def test_a_promotion_that_died_before_it_was_recorded_is_recorded_by_the_next(
    sweeps: HomeSweeps, ledger: Ledger, trials: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = trials[0].sweep_id
    monkeypatch.setattr("service.tracking.senders.GIVE_UP_SECONDS", 0.5)
    with monkeypatch.context() as broken:
        broken.setattr("service.ledgers.evidence.promotions.Promotions.add", lambda *_move: 1 / len({}))
        assert sweeps.promote(sweep, model="died", unconfirmed=True).status is PromotionStatus.WAITING
    again = sweeps.promote(sweep, model="died", unconfirmed=True)
    assert again.status is PromotionStatus.UNCHANGED, again.sentences
    assert [(move.version, move.trial_id) for move in ledger.promotions.list("died")] == [("1", trials[0].id)]


def test_the_model_is_written_as_onnx_by_the_command(
    finished_sweep: SweepOutcome, home: Home, data: PreparedData, tmp_path: Path
) -> None:
    import onnxruntime
    from typer.testing import CliRunner

    from service.commands.app import app

    file, sweep = tmp_path / "model.onnx", finished_sweep.sweep.id
    refused = CliRunner().invoke(app, ["export", sweep, "--format", "onnx", "--home", str(home.root)])
    assert isinstance(refused.exception, UsageError)
    assert "-f model.onnx" in str(refused.exception)
    result = CliRunner().invoke(app, ["export", sweep, "--format", "onnx", "-f", str(file), "--home", str(home.root)])
    assert result.exit_code == 0, result.exception
    assert "unconfirmed: the best of 7 trials" in result.output
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    photos = np.ascontiguousarray(data.images[data.splits["test"]])
    (probabilities,) = session.run(None, {"images": photos})
    registered = finished_sweep.sweep.registered
    assert registered is not None
    with _tracking(home):  # by its version, since other tests move the alias of the shared sweep
        model = mlflow.pyfunc.load_model(f"models:/{registered['model']}/{registered['version']}")
    np.testing.assert_allclose(probabilities, np.asarray(model.predict(photos)), rtol=0, atol=1e-4)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == ["one", "two", "zero"]


def test_the_commands_tell_of_a_promotion_and_of_the_way_back(
    finished_sweep: SweepOutcome, home: Home, ledger: Ledger, trials: list[Trial], data: PreparedData
) -> None:
    from typer.testing import CliRunner

    from service.commands.app import app

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*arguments, "--home", str(home.root)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    sweep = finished_sweep.sweep.id
    code, text = run("promote", sweep, "--model", "told", "--unconfirmed")
    assert (code, f"promoted: told@champion is version 1 now, the model of {trials[0].id}" in text) == (0, True)
    _know(ledger, trials[0], data, 20)
    _know(ledger, trials[1], data, 19)
    _confirm(ledger, trials[1])
    code, text = run("promote", sweep, "--model", "told")
    assert (code, "refused: 19 against 20 of 24 test images right: worse than version 1" in text) == (1, True)
    code, text = run("promote", sweep, "--model", "told", "--force", "-o", "json")
    outcome = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert (code, outcome["status"], outcome["version"], outcome["previous"]) == (0, "promoted", "2", "1")
    code, text = run("rollback", "told")
    assert (code, "told@champion is version 1 now" in text) == (0, True)
    code, text = run("models", "told", "-o", "json")
    assert [move["action"] for move in json.loads(text)] == ["rollback", "promote", "promote"]
    code, text = run("models")
    assert (code, "told" in text) == (0, True)


def test_a_service_promotes_and_rolls_back_in_processes_of_their_own(
    home: Home, ledger: Ledger, trials: list[Trial], data: PreparedData
) -> None:
    from service.registry import RegistryProcesses, request_promotion, roll_back_apart

    processes = RegistryProcesses()
    for trial, version in ((trials[1], "1"), (trials[0], "2")):
        _know(ledger, trial, data, 20)
        _confirm(ledger, trial)
        sweep = ledger.sweeps.get(trial.sweep_id)
        request, after = request_promotion(ledger, sweep, alias="champion", model="apart", user="ann")
        outcome = processes.carry_out(ledger, home, sweep.id, request, after=after, seconds=120)
        log = home.promotions_log.read_text()
        assert (outcome.status, outcome.version) == (PromotionStatus.PROMOTED, version), (outcome.sentences, log)
    move = roll_back_apart(home, model="apart", alias="champion", user="bob")
    assert (move.version, move.previous, move.user_name) == ("1", "2", "bob")
    with pytest.raises(UsageError, match="apart@champion has no earlier version"):
        roll_back_apart(home, model="apart", alias="champion", user="bob")
    assert [entry.user_name for entry in ledger.promotions.list("apart")] == ["bob", "ann", "ann"]
