"""The contents of MLflow after a sweep with trials of every end: names, params, metrics, tags and files."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from service.clocks import now_ms
from service.confirmations import Confirmation
from service.errors import UsageError
from service.ledgers import EventKind, Ledger, MessageKind, Sweep, SweepState, TrialState
from service.reports import Leaderboard
from service.settings import Home
from service.tracking.experiments import describe_sweep
from service.tracking.run_names import trial_name
from service.tracking.run_writers import RunWriter
from service.tracking.standings import describe_winner, find_end_step, mark_standings
from service.tracking.views import PreparedView
from tests.tracked_sweeps import DATA, deliver_all, mixed_sweep


@pytest.fixture(scope="module")
def sweep(ledger: Ledger, place: Home, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A sweep whose file is committed in a repository; all of it is in MLflow."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "photos.yaml").write_text("name: photos\n")
    for command in (["init"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-m", "x"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True, capture_output=True)
    sweep = mixed_sweep(ledger, spec_file=str(folder / "photos.yaml"))
    deliver_all(ledger, place)
    return ledger.sweeps.get(sweep.id)


@pytest.fixture(scope="module")
def client(place: Home, sweep: Sweep) -> MlflowClient:
    assert sweep.mlflow is not None
    return MlflowClient(tracking_uri=place.tracking_uri)


def read_runs(client: MlflowClient, sweep: Sweep, kind: str = "trial") -> dict[str, Run]:
    assert sweep.mlflow is not None
    query = f"tags.`meltpoint.sweep_id` = '{sweep.id}' and tags.`meltpoint.kind` = '{kind}'"
    runs = client.search_runs([sweep.mlflow["experiment_id"]], filter_string=query)
    return {run.data.tags.get("meltpoint.trial_id", ""): run for run in runs}


@pytest.fixture(scope="module")
def runs(client: MlflowClient, sweep: Sweep) -> dict[str, Run]:
    return read_runs(client, sweep)


@pytest.fixture(scope="module")
def parent(client: MlflowClient, sweep: Sweep) -> Run:
    (run,) = read_runs(client, sweep, "sweep").values()
    return run


def test_there_is_one_ended_run_for_each_trial_of_the_ledger(
    ledger: Ledger, sweep: Sweep, runs: dict[str, Run]
) -> None:
    trials = {trial.id: trial for trial in ledger.trials.list(sweep.id)}
    assert runs.keys() == trials.keys()
    states = {TrialState.FAILED: "FAILED", TrialState.CANCELLED: "KILLED"}
    assert {trial_id: run.info.status for trial_id, run in runs.items()} == {
        trial_id: states.get(trial.state, "FINISHED") for trial_id, trial in trials.items()
    }
    assert {trial.state for trial in trials.values()} >= {
        TrialState.COMPLETED,
        TrialState.PRUNED,
        TrialState.FAILED,
        TrialState.CANCELLED,
    }


def test_runs_are_named_after_their_recipes_and_the_best_has_a_sign(
    ledger: Ledger, sweep: Sweep, runs: dict[str, Run]
) -> None:
    names = {trial_id: run.info.run_name for trial_id, run in runs.items()}
    assert len(set(names.values())) == len(names)
    signed = [trial_id for trial_id, name in names.items() if "☆" in name]
    best = max(ledger.trials.list(sweep.id), key=lambda trial: trial.best_value or 0.0)
    assert signed == [best.id]
    for trial in ledger.trials.list(sweep.id):
        assert names[trial.id].replace("☆ ", "") == trial_name(sweep, trial)
    assert [names[trial_id] for trial_id in sorted(names)] == sorted(names.values()), "names sort by number"


def test_only_active_hyperparameters_are_params_and_log_scaled_ones_have_a_twin(
    ledger: Ledger, sweep: Sweep, runs: dict[str, Run]
) -> None:
    for trial in ledger.trials.list(sweep.id):
        params = runs[trial.id].data.params
        twins = {"optimizer.log10_lr"}
        if trial.recipe["optimizer.name"] == "adamw":
            twins.add("optimizer.log10_weight_decay")
        assert params.keys() == trial.recipe.keys() | twins | {"freeze_depth.written"}
        assert float(params["freeze_depth"]) == trial.recipe["freeze_depth"]
    assert {run.data.params["freeze_depth.written"] for run in runs.values()} <= {"all", "-1", "-2", "-3"}


def test_a_run_says_where_it_comes_from_and_what_it_cost(sweep: Sweep, runs: dict[str, Run]) -> None:
    run = runs[f"{sweep.id}-0005"]
    tags, metrics = run.data.tags, run.data.metrics
    assert tags["meltpoint.attempt"] == "2"
    assert tags["meltpoint.node"] == "worker-1"
    assert tags["mlflow.source.name"] == "photos.yaml"
    assert tags["mlflow.user"]
    assert len(tags["mlflow.source.git.commit"]) == 40
    assert len(tags["meltpoint.spec_digest"]) == 16
    assert metrics["cost/seconds"] > 1.0, "both attempts count"
    assert metrics["cost/gpu_seconds"] == pytest.approx(metrics["cost/seconds"] / 2)
    assert metrics["cost/saved_seconds"] == 1.25
    sections = {name.partition("/")[0] for name in metrics}
    assert sections == {"train", "val", "time", "system", "best", "cost"}
    assert metrics["system/cpu_utilization_percentage"] == 75.0


def test_pruned_runs_have_a_colour_of_their_own_and_the_ranks_follow_the_metric(runs: dict[str, Run]) -> None:
    by_state = {run.data.tags["meltpoint.state"]: run for run in runs.values()}
    colours = {state: run.data.tags.get("mlflow.runColor") for state, run in by_state.items()}
    assert colours["pruned"] not in (None, colours["failed"])
    ranked = [run for run in runs.values() if "meltpoint.rank" in run.data.tags]
    ranked.sort(key=lambda run: int(run.data.tags["meltpoint.rank"]))
    values = [run.data.metrics["best/val/accuracy"] for run in ranked]
    assert values == sorted(values, reverse=True)
    assert [run.data.tags.get("meltpoint.winner") for run in ranked] == ["unconfirmed", *[None] * (len(ranked) - 1)]
    assert [run.data.metrics["best/rank"] for run in ranked] == list(range(1, len(ranked) + 1))


def test_no_point_of_a_metric_is_there_twice(client: MlflowClient, ledger: Ledger, sweep: Sweep) -> None:
    epochs = {trial.id: trial.epochs for trial in ledger.trials.list(sweep.id)}
    for trial_id, run in read_runs(client, sweep).items():
        for name in run.data.metrics:
            steps = [point.step for point in client.get_metric_history(run.info.run_id, name)]
            assert len(steps) == len(set(steps)), name
            if name.startswith(("train/", "val/", "time/")):
                assert len(steps) == epochs[trial_id]


def test_a_failed_trial_has_a_page_with_its_reason(client: MlflowClient, runs: dict[str, Run], tmp_path: Path) -> None:
    failed = [run for run in runs.values() if run.data.tags["meltpoint.state"] == "failed"]
    for run in failed:
        page = Path(client.download_artifacts(run.info.run_id, "error.md", str(tmp_path))).read_text()
        assert "the loss is not finite in epoch 1" in page
        assert "| optimizer.lr |" in page
        assert re.search(r"\| freeze_depth \| (all|-\d) \(\d stages frozen\) \|", page)
        assert "ValueError: nan" in page
    others = [run for run in runs.values() if run not in failed]
    assert not [run for run in others if client.list_artifacts(run.info.run_id)]


def test_the_sweeps_run_shows_the_best_value_against_the_trials_that_ended(
    client: MlflowClient, parent: Run, runs: dict[str, Run]
) -> None:
    points = client.get_metric_history(parent.info.run_id, "progress/best")
    assert [point.step for point in points] == list(range(1, len(runs) + 1))
    values = [point.value for point in points]
    assert values == sorted(values)
    assert values[-1] == max(run.data.metrics.get("best/val/accuracy", 0) for run in runs.values())
    assert parent.info.status == "FINISHED"


def test_the_sweeps_run_has_data_sets_environment_table_and_all_trials(
    client: MlflowClient, parent: Run, runs: dict[str, Run], tmp_path: Path
) -> None:
    sets = {entry.dataset.name: entry.dataset for entry in parent.inputs.dataset_inputs}
    assert sets.keys() == {"photos", "photos/train", "photos/test"}
    assert sets["photos/train"].digest == DATA["resized"]["bilinear"]["splits"]["train"]["digest"]
    assert json.loads(str(sets["photos/train"].profile))["classes"] == {"cat": 25, "dog": 25}

    def read(path: str) -> str:
        return Path(client.download_artifacts(parent.info.run_id, path, str(tmp_path))).read_text()

    assert json.loads(read("environment/versions.json"))["training"] == DATA["versions"]
    table = json.loads(read("leaderboard/table.json"))
    assert table["columns"][:3] == ["rank", "trial", "state"]
    assert Counter(row[2] for row in table["data"]) == Counter(
        run.data.tags["meltpoint.state"] for run in runs.values()
    )
    assert json.loads(parent.data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "leaderboard/table.json", "type": "table"}
    ]
    rows = list(csv.DictReader(io.StringIO(read("trials.csv"))))
    assert [row["trial"] for row in rows] == [f"{number:04d}" for number in range(len(runs))]
    assert rows[1]["optimizer.weight_decay"]
    assert not rows[0]["optimizer.weight_decay"]


def test_a_repeated_delivery_changes_nothing(client: MlflowClient, ledger: Ledger, place: Home, sweep: Sweep) -> None:
    def contents() -> dict[str, object]:
        everything = read_runs(client, sweep) | {"sweep": next(iter(read_runs(client, sweep, "sweep").values()))}
        return {
            key: (
                run.data.tags,
                run.data.params,
                run.info.status,
                {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics},
            )
            for key, run in everything.items()
        }

    before = contents()
    trial = ledger.trials.list(sweep.id)[3]
    for kind, payload in (
        (MessageKind.SWEEP_RUNNING, {}),
        (MessageKind.TRIAL_STARTED, {}),
        (MessageKind.TRIAL_FINISHED, {"state": trial.state.value}),
        (MessageKind.SWEEP_COMPLETED, {}),
    ):
        about_trial = kind in (MessageKind.TRIAL_STARTED, MessageKind.TRIAL_FINISHED)
        ledger.outbox.put(sweep.id, kind, payload, trial_id=trial.id if about_trial else None)
    deliver_all(ledger, place)
    assert contents() == before


@pytest.mark.parametrize("state", [SweepState.CANCELLED, SweepState.FAILED, SweepState.INTERRUPTED])
def test_no_run_is_left_unfinished_by_a_sweep_of_any_end(
    client: MlflowClient, ledger: Ledger, place: Home, state: SweepState
) -> None:
    sweep = mixed_sweep(ledger, trials=5, name="ends")
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    ledger.sweeps.move(sweep.id, state)
    deliver_all(ledger, place)
    sweep = ledger.sweeps.get(sweep.id)
    everything = [*read_runs(client, sweep).values(), *read_runs(client, sweep, "sweep").values()]
    assert len(everything) == 6
    assert not [run.info.run_name for run in everything if run.info.end_time is None or run.info.status == "RUNNING"]


def test_a_confirmed_choice_takes_the_sign_from_the_best_of_the_search(
    client: MlflowClient, ledger: Ledger, place: Home
) -> None:
    sweep = mixed_sweep(ledger, name="confirmed")
    deliver_all(ledger, place)
    sweep = ledger.sweeps.get(sweep.id)
    board = Leaderboard.read(ledger, sweep)
    second = board.ranked[1]
    decided = cast("Confirmation", SimpleNamespace(chosen=SimpleNamespace(trial_id=second.id)))
    assert sweep.mlflow is not None
    mark_standings(client, RunWriter(client), sweep.mlflow["experiment_id"], board, decided, now_ms(), step=99)
    runs = read_runs(client, sweep)
    signs = {trial_id: run.info.run_name[5] for trial_id, run in runs.items() if run.info.run_name[5] in "☆★"}
    assert signs == {second.id: "★"}
    assert describe_winner(board, None).startswith(f"best ☆ {board.ranked[0].number:04d}: 0.")
    decision = SimpleNamespace(winner=None)
    stands = cast("Confirmation", SimpleNamespace(chosen=decided.chosen, decision=decision))
    assert describe_winner(board, stands).startswith(f"default ★ {second.number:04d}: 0.")
    assert runs[second.id].data.metrics["best/rank"] == 0
    assert runs[second.id].data.tags["meltpoint.winner"] == "confirmed"
    assert "meltpoint.winner" not in runs[board.ranked[0].id].data.tags


def description(client: MlflowClient, sweep: Sweep) -> str:
    assert sweep.mlflow is not None
    return str(client.get_experiment(sweep.mlflow["experiment_id"]).tags["mlflow.note.content"])


def test_the_experiments_description_leads_to_the_views_of_its_sweeps(
    client: MlflowClient, ledger: Ledger, place: Home
) -> None:
    first = mixed_sweep(ledger, trials=3, name="described")
    deliver_all(ledger, place)
    first = ledger.sweeps.get(first.id)
    assert first.mlflow is not None
    experiment_id = first.mlflow["experiment_id"]
    own = "Ask Ada before you delete anything here."
    client.set_experiment_tag(experiment_id, "mlflow.note.content", f"{own}\n\n{description(client, first)}")
    second = mixed_sweep(ledger, trials=3, name="described")
    deliver_all(ledger, place)
    lines = description(client, first).splitlines()
    assert lines[0] == own
    sweeps = [line for line in lines if line.startswith("- Sweep ")]
    assert [line.partition("**")[2].partition("**")[0] for line in sweeps] == [second.id, first.id], "newest first"
    for line, sweep in zip(sweeps, (second, first), strict=True):
        assert "completed" in line
        assert f"#/experiments/{experiment_id}/runs?viewStateShareKey={sweep.id}&" in line
        assert line.endswith("/artifacts/report.html)")


def test_the_description_of_many_sweeps_keeps_the_newest_and_what_people_wrote(
    client: MlflowClient, ledger: Ledger, place: Home
) -> None:
    """MLflow refuses more than 20,000 characters."""
    first = mixed_sweep(ledger, trials=1, name="many")
    deliver_all(ledger, place)
    first = ledger.sweeps.get(first.id)
    assert first.mlflow is not None
    sweeps = [replace(first, id=f"s-{number:06x}") for number in range(100)]
    for own in ("Ask Ada.", "x" * 19_000):
        client.set_experiment_tag(first.mlflow["experiment_id"], "mlflow.note.content", own)
        for sweep in sweeps:
            describe_sweep(client, sweep, SweepState.COMPLETED, report="report.html")
        lines = description(client, first).splitlines()
        assert own in lines
        kept = re.findall(r"Sweep \*\*(s-\w+)\*\*", description(client, first))
        assert kept == [sweep.id for sweep in reversed(sweeps)][: len(kept)]
        assert len(kept) > 30 if own == "Ask Ada." else not kept


def test_a_view_that_mlflow_refuses_holds_up_no_run(
    ledger: Ledger, place: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server of another version may refuse shorter tags than ours."""
    monkeypatch.setattr("service.tracking.trackers.curves_view", lambda *_, **__: PreparedView("long", "x" * 20_001))
    sweep = mixed_sweep(ledger, trials=2, name="refused")
    deliver_all(ledger, place)
    assert ledger.outbox.count_unsent(sweep.id) == 0
    assert "MLflow refused the tag long of experiment" in caplog.text


def test_a_deleted_experiment_stays_deleted(client: MlflowClient, ledger: Ledger, place: Home) -> None:
    first = mixed_sweep(ledger, trials=2, name="deleted")
    deliver_all(ledger, place)
    first = ledger.sweeps.get(first.id)
    assert first.mlflow is not None
    client.delete_experiment(first.mlflow["experiment_id"])
    for _ in range(2):
        sweep = mixed_sweep(ledger, trials=2, name="deleted")
        deliver_all(ledger, place)
        sweep = ledger.sweeps.get(sweep.id)
        assert sweep.mlflow is not None
        experiment = client.get_experiment(sweep.mlflow["experiment_id"])
        assert (experiment.name, experiment.lifecycle_stage) == ("deleted-2", "active")
        events = ledger.events.after(sweep.id, 0)
        (notice,) = [event.payload["text"] for event in events if event.kind is EventKind.NOTICE]
        assert notice.startswith("MLflow's experiment deleted was deleted and stays so: the runs of")
        assert notice.endswith("in the experiment deleted-2")
    assert client.get_experiment(first.mlflow["experiment_id"]).lifecycle_stage == "deleted"


def test_the_trials_of_a_sweep_whose_own_run_was_deleted_come_under_its_new_one(
    client: MlflowClient, ledger: Ledger, place: Home
) -> None:
    sweep = mixed_sweep(ledger, trials=3, name="orphans")
    deliver_all(ledger, place)
    before = ledger.sweeps.get(sweep.id).mlflow
    assert before is not None
    thrown = ledger.trials.list(sweep.id)[0]
    client.delete_run(before["run_id"])
    client.delete_run(str(thrown.mlflow_run_id))
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    trial = ledger.trials.create(
        sweep.id, number=3, point={}, recipe={"optimizer.lr": 0.1}, identity="f", seed=0, started=True
    )
    ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED)
    deliver_all(ledger, place)
    after = ledger.sweeps.get(sweep.id).mlflow
    assert after is not None
    assert after["run_id"] != before["run_id"]
    runs = client.search_runs([after["experiment_id"]])
    parents = {run.data.tags.get("meltpoint.trial_id"): run.data.tags.get("mlflow.parentRunId") for run in runs}
    trials = ledger.trials.list(sweep.id)
    assert trial.id in {trial.id for trial in trials}
    assert parents == {trial.id: after["run_id"] for trial in trials if trial.id != thrown.id} | {None: None}


def test_runs_that_were_deleted_by_hand_hold_up_nothing(client: MlflowClient, ledger: Ledger, place: Home) -> None:
    sweep = mixed_sweep(ledger, trials=4, name="thinned")
    tracker = deliver_all(ledger, place)
    best = Leaderboard.read(ledger, ledger.sweeps.get(sweep.id)).ranked[0]
    client.delete_run(str(best.mlflow_run_id))
    kinds = ((MessageKind.TRIAL_FINISHED, best.id), (MessageKind.SWEEP_COMPLETED, None))
    for kind, trial_id in kinds:
        ledger.outbox.put(sweep.id, kind, {"state": "completed"}, trial_id=trial_id)
    deliver_all(ledger, place, tracker)
    assert client.get_run(str(best.mlflow_run_id)).info.lifecycle_stage == "deleted"
    assert best.id not in read_runs(client, ledger.sweeps.get(sweep.id))
    assert ledger.outbox.count_unsent(sweep.id) == 0


def test_the_description_of_a_sweeps_run_begins_with_the_answer_and_the_links(
    client: MlflowClient, ledger: Ledger, sweep: Sweep, parent: Run
) -> None:
    best = Leaderboard.read(ledger, sweep).best
    assert best is not None
    answer, _, links, *_ = parent.data.tags["mlflow.note.content"].splitlines()
    assert answer.startswith(f"**Unconfirmed: trial {best.number} is the best of ")
    run = f"#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}/artifacts"
    assert re.findall(r"\[([^]]*)\]", links) == ["view", "table of all trials", "report", "leaderboard and files"]
    assert f"[report]({run}/report.html)" in links
    assert f"viewStateShareKey={sweep.id}&compareRunsMode=TABLE" in links


def test_each_end_of_a_resumed_sweep_writes_one_row_at_a_step_of_its_own(
    client: MlflowClient, ledger: Ledger, place: Home
) -> None:
    sweep = mixed_sweep(ledger, trials=5, name="resumed")
    deliver_all(ledger, place)
    sweep = ledger.sweeps.get(sweep.id)
    assert sweep.mlflow is not None
    parent = sweep.mlflow["run_id"]
    for _ in range(2):
        ledger.sweeps.move(sweep.id, SweepState.RUNNING)
        ledger.sweeps.move(sweep.id, SweepState.INTERRUPTED)
        deliver_all(ledger, place)
    everything = [*read_runs(client, sweep).values(), client.get_run(parent)]
    for run in everything:
        for name in run.data.metrics:
            steps = [point.step for point in client.get_metric_history(run.info.run_id, name)]
            assert len(steps) == len(set(steps)), (run.info.run_name, name)
    assert [point.step for point in client.get_metric_history(parent, "trials/completed")] == [5, 6, 7]


def test_the_step_of_an_end_follows_those_of_earlier_ends_and_is_the_same_for_a_repeated_delivery(
    client: MlflowClient, ledger: Ledger, place: Home
) -> None:
    """A sweep that an earlier version has ended has its rows at step 0."""
    sweep = mixed_sweep(ledger, trials=1, name="steps")
    deliver_all(ledger, place)
    experiment = client.get_experiment_by_name("steps")
    assert experiment is not None
    run_id = client.create_run(experiment.experiment_id).info.run_id
    assert find_end_step(client, run_id, ended=5, at=1000) == 5
    client.log_metric(run_id, "trials/completed", 3.0, timestamp=1000, step=0)
    assert find_end_step(client, run_id, ended=5, at=1000) == 0
    assert find_end_step(client, run_id, ended=5, at=2000) == 5
    client.log_metric(run_id, "trials/completed", 3.0, timestamp=2000, step=5)
    assert find_end_step(client, run_id, ended=5, at=3000) == 6
    client.set_terminated(run_id)
    assert sweep.state is SweepState.COMPLETED


def test_removed_runs_are_all_but_those_of_registered_models(
    client: MlflowClient, ledger: Ledger, place: Home, sweep: Sweep, runs: dict[str, Run], parent: Run
) -> None:
    """Come last in this file: the runs are gone then."""
    from service.registry.removals import remove_runs

    source = next(iter(runs.values())).info.run_id
    client.create_registered_model("kept")
    client.create_model_version("kept", source=f"runs:/{source}/model", run_id=source)
    ledger.sweeps.note(sweep.id, registered={"model": "kept", "version": "1"})
    sweep = ledger.sweeps.get(sweep.id)
    removed = remove_runs(ledger, place, sweep)
    assert (removed.deleted, removed.kept) == (len(runs), 1)
    left = [run.info.run_id for run in client.search_runs([parent.info.experiment_id])]
    assert left == [source]
    again = remove_runs(ledger, place, sweep)
    assert (again.deleted, again.kept) == (0, 1)
    elsewhere = replace(sweep, mlflow={**(sweep.mlflow or {}), "tracking_uri": "http://127.0.0.1:9"})
    with pytest.raises(UsageError, match="or leave out --mlflow to keep them"):
        remove_runs(ledger, place, elsewhere)
    assert remove_runs(ledger, place, replace(sweep, mlflow=None)).deleted == 0
