"""A whole sweep, on real Ray, a real ledger and a real MLflow store."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import mlflow
import numpy as np
import psutil
import pytest
from mlflow.entities import LoggedModelStatus, Run
from mlflow.tracking import MlflowClient

from search_spaces import MeltpointError, SweepSpec, load_spec, parse_spec
from service.clocks import now_ms
from service.errors import ArtifactError
from service.ledgers import Cause, Ledger, MessageKind, SweepAction, SweepState, Trial, TrialState
from service.models import LoggedClassifier, log_model
from service.runs.listeners import SilentListener
from service.runs.runner import Outcome, run_sweep
from service.schedulers import Asha, build_scheduler
from service.settings import Home
from service.sweeps import HomeSweeps
from service.terminals import stderr
from service.terminals.console_listener import ConsoleListener
from service.tracking.trackers import Tracker
from trainables.stores.prepared import PreparedData, prepare_data
from trainables.training.checkpoints import load_checkpoint
from trainables.training.predictions import unpack, unpack_labels


@pytest.fixture(scope="module")
def client(home: Home) -> MlflowClient:
    return MlflowClient(tracking_uri=home.tracking_uri)


@pytest.fixture(scope="module")
def runs(client: MlflowClient, finished_sweep: Outcome) -> dict[str, Run]:
    """The sweep's child runs by trial id."""
    assert finished_sweep.sweep.mlflow is not None
    runs_there = client.search_runs(
        [finished_sweep.sweep.mlflow["experiment_id"]],
        filter_string=f"tags.`meltpoint.sweep_id` = '{finished_sweep.sweep.id}' and tags.`meltpoint.kind` = 'trial'",
    )
    return {run.data.tags["meltpoint.trial_id"]: run for run in runs_there}


def test_the_sweep_completes_although_trials_fail(finished_sweep: Outcome) -> None:
    assert finished_sweep.sweep.state is SweepState.COMPLETED
    counts = finished_sweep.board.counts()
    assert counts["failed"] >= 1
    assert counts["completed"] >= 1
    assert sum(counts.values()) == 7
    for trial in finished_sweep.board.trials:
        if trial.state is TrialState.FAILED:
            assert trial.recipe["optimizer.lr"] == 100.0
            assert trial.error is not None
            assert "epoch 1" in trial.error
            assert trial.identity in trial.error


def test_the_json_of_a_run_keeps_its_contract(finished_sweep: Outcome) -> None:
    outcome = json.loads(json.dumps(finished_sweep.as_json(), allow_nan=False))
    assert {"sweep_id", "state", "counts", "best", "seconds", "mlflow"} <= outcome.keys()
    assert {"completed", "pruned", "failed"} <= outcome["counts"].keys()
    assert {"trial_id", "metrics", "recipe"} == outcome["best"].keys()
    assert {"tracking_uri", "experiment_id", "run_id"} == outcome["mlflow"].keys()
    assert outcome["seconds"] > 0


def test_the_json_of_the_trials_keeps_its_contract(finished_sweep: Outcome) -> None:
    trials = json.loads(json.dumps(finished_sweep.board.as_json(), allow_nan=False))
    assert len(trials) == 7
    for trial in trials:
        assert trial.keys() == {
            "trial_id",
            "state",
            "recipe",
            "metrics",
            "epochs",
            "seconds",
            "mlflow_run_id",
            "sharing",
            "error",
            "node",
            "breaks",
            "pareto",
            "like_first",
            "optimism",
        }
        assert "optimizer.lr" in trial["recipe"]
    best = trials[0]["metrics"]
    assert {"val/accuracy", "train/loss", "best/val/accuracy", "best/epoch", "test/accuracy"} <= best.keys()
    assert best["best/val/accuracy"] == max(trial["metrics"].get("best/val/accuracy", 0) for trial in trials)


def test_only_the_best_model_was_read_on_the_test_images(finished_sweep: Outcome) -> None:
    tested = [t["trial_id"] for t in finished_sweep.board.as_json() if "test/accuracy" in t["metrics"]]
    assert tested == [finished_sweep.board.trials[0].id]


def test_mlflow_has_each_trial_once_with_its_recipe_and_curves(
    finished_sweep: Outcome, runs: dict[str, Run], client: MlflowClient
) -> None:
    assert runs.keys() == {trial.id for trial in finished_sweep.board.trials}
    for trial in finished_sweep.board.trials:
        run = runs[trial.id]
        assert run.info.run_id == trial.mlflow_run_id
        assert run.data.params["optimizer.lr"] == str(trial.recipe["optimizer.lr"])
        assert run.data.tags["meltpoint.state"] == trial.state.value
        assert run.info.status == ("FAILED" if trial.state is TrialState.FAILED else "FINISHED")
        points = client.get_metric_history(run.info.run_id, "val/accuracy") if trial.epochs else []
        assert [point.step for point in points] == list(range(1, trial.epochs + 1))
        if trial.best_value is not None:
            assert run.data.metrics["best/val/accuracy"] == trial.best_value
            assert trial.sharing is not None
            assert run.data.tags["meltpoint.prefix"] == trial.sharing["training"]


def test_the_parent_run_has_spec_data_and_leaderboard(
    finished_sweep: Outcome, runs: dict[str, Run], client: MlflowClient, tmp_path: Path
) -> None:
    assert finished_sweep.sweep.mlflow is not None
    parent = client.get_run(finished_sweep.sweep.mlflow["run_id"])
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {parent.info.run_id}
    assert parent.info.status == "FINISHED"
    sets = {entry.tags[0].value: entry.dataset for entry in parent.inputs.dataset_inputs}
    (resized,) = finished_sweep.sweep.data["resized"].values()
    digests = {"training": finished_sweep.sweep.data["digest"]}
    digests |= {split: about["digest"] for split, about in resized["splits"].items()}
    assert sets.keys() == {"training", "train", "val", "confirm", "test"}
    assert {context: dataset.digest for context, dataset in sets.items()} == digests
    spec = client.download_artifacts(parent.info.run_id, "spec/tiny.yaml", str(tmp_path))
    assert Path(spec).read_text() == finished_sweep.sweep.spec_text
    board = client.download_artifacts(parent.info.run_id, "leaderboard/leaderboard.json", str(tmp_path))
    assert [row["trial_id"] for row in json.loads(Path(board).read_text())] == [
        trial.id for trial in finished_sweep.board.trials
    ]


def test_the_parent_run_has_the_report_with_images(
    finished_sweep: Outcome, client: MlflowClient, tmp_path: Path
) -> None:
    assert finished_sweep.sweep.mlflow is not None
    assert finished_sweep.board.best is not None
    page = Path(
        client.download_artifacts(finished_sweep.sweep.mlflow["run_id"], "report.html", str(tmp_path))
    ).read_text()
    assert f"{finished_sweep.board.best.best_value:.4f}" in page
    assert "What the augmentation does" in page
    assert page.count("data:image/jpeg;base64,") >= 5


def test_the_candidate_serves_without_meltpoint_and_without_pickle(
    finished_sweep: Outcome, home: Home, tracks_home: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = finished_sweep.board.best
    assert best is not None
    assert finished_sweep.sweep.registered is not None
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    model = mlflow.pyfunc.load_model(finished_sweep.sweep.registered["uri"])
    data = _data_of(finished_sweep, home)
    images = np.ascontiguousarray(data.images[data.splits["val"]])
    probabilities = np.asarray(model.predict(images))
    accuracy = float((probabilities.argmax(1) == data.labels[data.splits["val"]]).mean())
    assert accuracy == pytest.approx(best.best_value)
    assert np.asarray(model.predict(images[:3, :20, :31])).shape == (3, 3)
    assert model.metadata.metadata["classes"] == ["one", "two", "zero"]


def test_the_model_carries_its_scores_and_its_origin_and_nothing_of_this_machine(
    finished_sweep: Outcome, client: MlflowClient
) -> None:
    best, registered = finished_sweep.board.best, finished_sweep.sweep.registered
    assert best is not None
    assert registered is not None
    version = client.get_model_version(registered["model"], registered["version"])
    model = client.get_logged_model(str(version.source).removeprefix("models:/"))
    assert model.name == f"tiny-digits-{best.id}"
    assert model.tags["mlflow.source.name"] == "tiny.yaml"
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "tiny", "version": str(version.version)}]
    assert not [tag for tag in model.tags if tag.startswith("mlflow.source.git.")]
    assert not [tag for tag, value in model.tags.items() if "/" in value]
    assert model.params == {name: str(value) for name, value in best.recipe.items()}
    metrics = {metric.key: metric.value for metric in model.metrics or ()}
    assert metrics["val/accuracy"] == best.best_value
    assert metrics["test/accuracy"] == finished_sweep.board.metrics(best)["test/accuracy"]
    assert client.get_run(best.mlflow_run_id or "").info.end_time == best.finished_at
    description = str(version.description)
    assert f"**Unconfirmed candidate**: the best trial of sweep {best.sweep_id}" in description
    assert f"val/accuracy {best.best_value:.4f}" in description
    assert "| optimizer.lr |" in description


def test_the_second_best_model_is_logged_with_its_scores_but_not_registered(
    finished_sweep: Outcome, client: MlflowClient
) -> None:
    """The sweep file has `register.top_k: 2`."""
    assert finished_sweep.sweep.mlflow is not None
    first, second = finished_sweep.board.ranked[:2]
    models = client.search_logged_models([finished_sweep.sweep.mlflow["experiment_id"]])
    by_name = {model.name: model for model in models if finished_sweep.sweep.id in str(model.name)}
    assert by_name.keys() == {f"tiny-digits-{first.id}", f"tiny-digits-{second.id}"}
    model = by_name[f"tiny-digits-{second.id}"]
    assert model.status is LoggedModelStatus.READY
    metrics = {metric.key: metric.value for metric in model.metrics or ()}
    assert metrics["val/accuracy"] == second.best_value
    assert not [name for name in metrics if name.startswith("test/")]
    assert "mlflow.modelVersions" not in model.tags


def _scores(client: MlflowClient, model_id: str) -> list[tuple[str, float]]:
    return sorted((metric.key, metric.value) for metric in client.get_logged_model(model_id).metrics or ())


def test_a_model_that_could_not_be_saved_leaves_none_behind(
    finished_sweep: Outcome, home: Home, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = finished_sweep.board.ranked[2]  # MLflow has the models of two
    data = _data_of(finished_sweep, home)
    payload = {"data": str(data.folder), "split_key": data.split_key, "code": "."}

    def fail(**_options: object) -> None:
        raise OSError("no space left on device")

    def log() -> LoggedClassifier:
        return log_model(
            client, sweep=finished_sweep.sweep, trial=trial, payload=payload, tracking_uri=home.local_tracking_uri
        )

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.pytorch.save_model", fail)
        with pytest.raises(ArtifactError, match="no space"):
            log()
    model_id = log().model_id
    query = f"source_run_id = '{trial.mlflow_run_id}'"
    experiment = client.get_run(trial.mlflow_run_id or "").info.experiment_id
    models = client.search_logged_models([experiment], filter_string=query)
    assert [(model.model_id, model.status) for model in models] == [(model_id, LoggedModelStatus.READY)]


def test_registering_a_model_leaves_the_process_tracking_as_it_did(finished_sweep: Outcome) -> None:
    assert finished_sweep.sweep.registered is not None
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert not mlflow.is_tracking_uri_set()


def _data_of(outcome: Outcome, home: Home) -> PreparedData:
    spec = parse_spec(outcome.sweep.spec_text, file=outcome.sweep.spec_file)
    return prepare_data(spec.data, base_dir=Path(spec.file).parent, root=home.data)


def test_the_best_checkpoint_and_predictions_are_kept(finished_sweep: Outcome, home: Home) -> None:
    best = finished_sweep.board.best
    assert best is not None
    assert best.checkpoint is not None
    assert load_checkpoint(Path(best.checkpoint)).epoch == best.best_epoch
    with closing(Ledger.open_file(home.ledger, clock=now_ms)) as ledger:
        packed, labels = ledger.predictions.get(best.id, "val"), ledger.predictions.labels(best.sweep_id, "val")
    assert packed is not None
    assert labels is not None
    right = unpack(packed.packed).predicted == unpack_labels(labels)
    assert float(right.mean()) == pytest.approx(best.best_value)


def test_a_gpu_that_is_not_there_is_refused_before_anything_starts(
    home: Home, ray_once: None, finished_sweep: Outcome, tmp_path: Path
) -> None:
    text = finished_sweep.sweep.spec_text.replace("photos", str(Path(finished_sweep.sweep.spec_file).parent / "photos"))
    (tmp_path / "s.yaml").write_text(text.replace("gpu: 0", "gpu: 900"))
    with pytest.raises(MeltpointError, match=r"a trial asks for 900 GPUs, there are \d"):
        run_sweep(load_spec(tmp_path / "s.yaml"), home=home, listener=ConsoleListener(stderr()))


def test_every_message_may_be_delivered_twice(
    finished_sweep: Outcome, home: Home, runs: dict[str, Run], client: MlflowClient
) -> None:
    ledger = Ledger.open_file(home.ledger, clock=now_ms)
    tracker = Tracker(ledger, home)
    before = {trial_id: client.get_metric_history(run.info.run_id, "val/loss") for trial_id, run in runs.items()}
    versions = client.search_model_versions("name = 'tiny'")
    for trial in finished_sweep.board.trials:
        for kind, payload in (
            (MessageKind.TRIAL_STARTED, {}),
            (MessageKind.EPOCHS, {"first": 1, "last": trial.epochs}),
            (MessageKind.TRIAL_FINISHED, {"state": trial.state.value}),
        ):
            ledger.outbox.put(trial.sweep_id, kind, payload, trial_id=trial.id)
    best = finished_sweep.board.trials[0]
    data = _data_of(finished_sweep, home)
    values = finished_sweep.board.metrics(best).items()
    test = {name.removeprefix("test/"): value for name, value in values if name.startswith("test/")}
    again = {"data": str(data.folder), "split_key": data.split_key, "code": ".", "test": test}
    registered = finished_sweep.sweep.registered
    assert registered is not None
    model_id = str(client.get_model_version("tiny", registered["version"]).source).removeprefix("models:/")
    linked = _scores(client, model_id)
    for kind in (MessageKind.MODEL, MessageKind.CANDIDATE):
        ledger.outbox.put(best.sweep_id, kind, again, trial_id=best.id)
    ledger.outbox.put(best.sweep_id, MessageKind.SWEEP_COMPLETED, {})
    for message in ledger.outbox.unsent(best.sweep_id):
        tracker.deliver([message])
        ledger.outbox.mark_sent(message.id)
    ledger.close()
    experiment = client.get_run(best.mlflow_run_id or "").info.experiment_id
    runs_there = client.search_runs([experiment], filter_string=f"tags.`meltpoint.sweep_id` = '{best.sweep_id}'")
    assert len(runs_there) == len(runs) + 1
    for trial_id, run in runs.items():
        assert client.get_metric_history(run.info.run_id, "val/loss") == before[trial_id]
    assert [v.version for v in client.search_model_versions("name = 'tiny'")] == [v.version for v in versions]
    logged = client.search_logged_models([experiment], filter_string=f"source_run_id = '{best.mlflow_run_id}'")
    assert len(logged) == 1
    assert _scores(client, model_id) == linked
    ended = client.get_run(best.mlflow_run_id or "")
    assert (ended.info.status, ended.info.end_time) == ("FINISHED", best.finished_at)


def test_a_trial_has_one_run_although_the_ledger_did_not_note_the_first_delivery(
    finished_sweep: Outcome, home: Home, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.open_file(home.ledger, clock=now_ms)
    like = finished_sweep.sweep
    sweep = ledger.sweeps.create(
        name="twice",
        spec_text="",
        spec_file="s.yaml",
        metric=like.metric,
        goal=like.goal,
        seed=0,
        data=like.data,
        settings={},
    )
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    for number in range(3):
        ledger.trials.create(
            sweep.id, number=number, point={}, recipe={"x": number}, identity=str(number), seed=0, started=True
        )
    tracker = Tracker(ledger, home)
    start, *begun = ledger.outbox.unsent(sweep.id)
    tracker.deliver([start])
    with monkeypatch.context() as failing:
        failing.setattr(ledger.trials, "note_runs", lambda _runs: 1 / len({}))
        for message in begun:
            with pytest.raises(ZeroDivisionError):
                tracker.deliver([message])
    for message in begun:
        tracker.deliver([message])
    experiment = client.get_experiment_by_name("twice")
    assert experiment is not None
    runs = {
        run.data.tags.get("meltpoint.trial_id"): run.info.run_id
        for run in client.search_runs([experiment.experiment_id])
    }
    assert len(client.search_runs([experiment.experiment_id])) == 4
    assert {trial.id: trial.mlflow_run_id for trial in ledger.trials.list(sweep.id)}.items() <= runs.items()
    ledger.outbox.mark_sent(*(message.id for message in (start, *begun)))
    ledger.sweeps.move(sweep.id, SweepState.FAILED)
    ledger.outbox.mark_sent(*(message.id for message in ledger.outbox.unsent(sweep.id)))
    ledger.close()


def test_workers_train_one_trial_after_another(finished_sweep: Outcome, home: Home) -> None:
    """Check that Tune makes one trial of its own for each worker, however many of our trials the worker trains."""
    lanes = list((home.sweep(finished_sweep.sweep.id) / "tune").glob("lane-*"))
    assert 1 <= len(lanes) <= 2 < len(finished_sweep.board.trials)


def test_a_sweep_completes_without_private_names_of_tune(
    home: Home, finished_sweep: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check the fallback without Tune's private names, in which each of our trials is a trial of Tune."""
    monkeypatch.setattr("service.tune.lanes.actor_of", lambda _lane: None)
    file = Path(finished_sweep.sweep.spec_file)
    outcome = run_sweep(load_spec(file, ["budget.trials=3", "budget.epochs=1"]), home=home)
    assert (outcome.sweep.state, len(outcome.board.trials)) == (SweepState.COMPLETED, 3)
    assert len(list((home.sweep(outcome.sweep.id) / "tune").glob("lane-*"))) >= 3


@pytest.mark.parametrize(
    ("pattern", "cause", "later"),
    [
        (r"ray::(TrialWorker|ResourceTrainable)", Cause.DIED, False),
        ("sweep:trial", Cause.OUT_OF_MEMORY, False),
        ("sweep:trial", Cause.OUT_OF_MEMORY, True),
    ],
    ids=["worker", "forked", "forked, after its first trial"],
)
def test_a_trial_whose_process_is_killed_is_tried_again(
    home: Home, ray_once: None, finished_sweep: Outcome, tmp_path: Path, pattern: str, cause: Cause, later: bool
) -> None:
    """Kill one of two workers: the sweep goes on with a new worker."""
    trials = 6 if later else 3
    spec = _small(finished_sweep, tmp_path, f"trials: {trials}, epochs: 40")
    with _killing(pattern, when=lambda: not later or _some_ended(home)):
        outcome = run_sweep(spec, home=home, listener=ConsoleListener(stderr()))
    assert outcome.sweep.state is SweepState.COMPLETED
    assert outcome.board.counts() == {"completed": trials, "pruned": 0, "failed": 0}
    (again,) = [trial for trial in outcome.board.trials if trial.attempt > 1]
    ledger = Ledger.open(home, clock=now_ms)
    assert (again.attempt, ledger.trials.count_failures(again.id, cause), again.epochs) == (2, 1, 40)
    ledger.close()


class _Cancelling(SilentListener):
    """Cancels a sweep once its first trial has ended."""

    def __init__(self, home: Home) -> None:
        self._home: Home | None = home

    def trial_ended(self, trial: Trial) -> None:
        if self._home is not None:
            HomeSweeps(self._home).act(trial.sweep_id, SweepAction.CANCEL)
            self._home = None


def test_a_sweep_gets_the_workers_of_one_that_was_cancelled_in_the_same_process(
    home: Home, ray_once: None, finished_sweep: Outcome, tmp_path: Path
) -> None:
    """Keep Python from collecting cycles of references: what is left of Tune's loop lies in some, and holds workers."""
    gc.disable()
    try:
        cancelled = run_sweep(
            _small(finished_sweep, tmp_path, "trials: 6, epochs: 40"), home=home, listener=_Cancelling(home)
        )
        whole = run_sweep(_small(finished_sweep, tmp_path, "trials: 2, epochs: 1"), home=home)
    finally:
        gc.enable()
    assert (cancelled.sweep.state, whole.sweep.state) == (SweepState.CANCELLED, SweepState.COMPLETED)


def test_a_sender_that_is_killed_is_replaced(
    home: Home, ray_once: None, finished_sweep: Outcome, tmp_path: Path, tracks_home: None
) -> None:
    with _killing("sweep:sender"):
        spec = _small(finished_sweep, tmp_path, "trials: 2, epochs: 2")
        outcome = run_sweep(spec, home=home, listener=ConsoleListener(stderr()), apart=True)
    assert (outcome.unsent, outcome.tracking_error) == (0, None)
    assert outcome.sweep.registered is not None
    assert all(trial.mlflow_run_id for trial in outcome.board.trials)


def _small(finished: Outcome, folder: Path, budget: str) -> SweepSpec:
    photos = Path(finished.sweep.spec_file).parent / "photos"
    (folder / "s.yaml").write_text(
        f"name: hunted\ndata: {{source: {photos}, image_size: 32}}\nbudget: {{{budget}}}\n"
        "space: {backbone: timm/test_efficientnet, weights: random, freeze_depth: 0, "
        "dropout.rate: {min: 0.0, max: 0.5}}\n"
        "search: {algorithm: random}\nresources: {gpu: 0}\n"
    )
    return load_spec(folder / "s.yaml")


def _some_ended(home: Home) -> bool:
    """Return whether a trial of the running sweep has ended, so that a worker trains its second."""
    with contextlib.closing(Ledger.open(home, clock=now_ms)) as ledger:
        running = [sweep for sweep in ledger.sweeps.list() if sweep.state is SweepState.RUNNING]
        states = [trial.state for sweep in running for trial in ledger.trials.list(sweep.id)]
    return TrialState.COMPLETED in states and states.count(TrialState.RUNNING) == 2


@contextlib.contextmanager
def _killing(pattern: str, when: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Kill the first process with such a name or command as soon as the condition holds."""
    killed: list[int] = []

    def hunt() -> None:
        while not killed:
            time.sleep(0.2)
            with contextlib.suppress(psutil.Error):
                matches = (
                    [p for p in psutil.Process().children(recursive=True) if _goes_by(p, pattern)] if when() else []
                )
                if matches:
                    matches[0].kill()
                    killed.append(matches[0].pid)

    hunter = threading.Thread(target=hunt, daemon=True)
    hunter.start()
    yield
    hunter.join(1)
    assert killed


def _goes_by(process: psutil.Process, pattern: str) -> bool:
    try:
        named = process.name(), " ".join(process.cmdline())
        return any(re.match(pattern, name) for name in named)
    except psutil.Error:
        return False


def test_a_sweep_in_which_every_trial_fails_has_failed(
    home: Home, ray_once: None, finished_sweep: Outcome, tmp_path: Path
) -> None:
    photos = Path(finished_sweep.sweep.spec_file).parent / "photos"
    (tmp_path / "s.yaml").write_text(
        f"name: hopeless\ndata: {{source: {photos}, image_size: 32}}\nbudget: {{epochs: 1}}\n"
        "search: {algorithm: points, points: [{backbone: timm/test_efficientnet, weights: random, freeze_depth: all, "
        "batch_size: 2, optimizer: {name: adamw, lr: 100, weight_decay: 1}}]}\n"
    )
    outcome = run_sweep(load_spec(tmp_path / "s.yaml"), home=home, listener=ConsoleListener(stderr()))
    assert (outcome.sweep.state, outcome.sweep.error) == (SweepState.FAILED, "no trial gave a value")
    assert outcome.as_json()["best"] is None


def test_a_grid_in_brackets_runs_whole_and_mlflow_says_which_bracket_each_trial_is_in(
    home: Home, ray_once: None, finished_sweep: Outcome, client: MlflowClient, tmp_path: Path
) -> None:
    photos = Path(finished_sweep.sweep.spec_file).parent / "photos"
    (tmp_path / "s.yaml").write_text(
        f"name: grid\ndata: {{source: {photos}, image_size: 32}}\nbudget: {{epochs: 3}}\n"
        "space: {backbone: timm/test_efficientnet, weights: random, freeze_depth: all, batch_size: 64, "
        "dropout.rate: {min: 0.0, max: 0.5, step: 0.25}}\n"
        "search: {algorithm: grid}\nscheduler: {type: asha, reduction_factor: 2, brackets: 2}\nresources: {gpu: 0}\n"
    )
    spec = load_spec(tmp_path / "s.yaml")
    outcome = run_sweep(spec, home=home, listener=ConsoleListener(stderr()))
    scheduler = build_scheduler(spec)
    assert isinstance(scheduler, Asha)
    trials = sorted(outcome.board.trials, key=lambda trial: trial.number)
    assert [trial.recipe["dropout.rate"] for trial in trials] == [0.0, 0.25, 0.5]
    for trial in trials:
        bracket = scheduler.brackets.bracket_of(trial.number)
        assert client.get_run(trial.mlflow_run_id or "").data.tags["meltpoint.bracket"] == str(bracket)
        assert trial.epochs == 3 or trial.epochs in scheduler.brackets.rungs_of(bracket)
