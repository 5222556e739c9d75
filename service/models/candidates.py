"""Candidates: a trial's model, exported as pt2, logged to MLflow and registered under the alias `candidate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from service.ledgers import Json, Sweep, Trial
from service.models.cards import ModelCard, write_card
from service.models.logged import (
    LoggedClassifier,
    find_run_model,
    lacks_logged_models,
    log_classifier,
    tracking_to,
)
from service.models.rebuilt import best_model
from service.models.scores import VersionScore
from service.models.versions import find_version, register_version, show_version
from trainables.own_code import make_importable
from trainables.stores.prepared import PreparedData

__all__ = ["CANDIDATE", "log_candidate", "log_model"]

CANDIDATE = "candidate"


def log_model(
    client: MlflowClient, *, sweep: Sweep, trial: Trial, payload: Json, tracking_uri: str
) -> LoggedClassifier:
    """Log the model to its trial's run unless it is there already.

    The recipe and the readings of the best epoch are linked to the model.

    Raises:
        ArtifactError: the model's files cannot be written.
        CheckpointError: the trial's checkpoint is gone or damaged.
        StoreError: its store cannot be reached.
        MlflowException: MLflow does not take the model.
    """
    logged = _logged_model(client, sweep, trial)
    if logged is not None:
        return logged
    make_importable(Path(payload["code"]))
    data = PreparedData.open(Path(payload["data"]), payload["split_key"])
    with tracking_to(tracking_uri):
        return _log(client, sweep, trial, data)


def log_candidate(
    client: MlflowClient,
    *,
    sweep: Sweep,
    trial: Trial,
    logged: LoggedClassifier,
    test: Mapping[str, float | None],
    tracking_uri: str,
    find_records: Callable[[str], tuple[Sweep, Trial] | None],
) -> Json:
    """Register a logged model, and give it the alias `candidate` unless that is a better model's.

    A version that is there already is kept. The present candidate keeps the alias if it is of another sweep and better
    by the same metric on the same images.

    test: readings on the test images, by measure. find_records: returns a trial with its sweep by the trial's id, None
    if it is of another ledger.
    Returns the registered name, version, alias and URI. If another version keeps the alias, the alias is None, the URI
    is that of the version, and `kept` is a sentence about it.
    """
    name, score = _registered_name(sweep), VersionScore.from_records(sweep, trial)
    version = find_version(client, name, trial)
    if version is None:
        description, tags = _description(sweep, trial, test), {} if score is None else score.as_tags()
        with tracking_to(tracking_uri):
            version = register_version(client, name, logged, trial, description, tags)
    show_version(client, logged, name, version)
    better = _find_better(client, name, version, sweep, score, find_records)
    if better is None or score is None:
        client.set_registered_model_alias(name, CANDIDATE, version)
        return {"model": name, "version": version, "alias": CANDIDATE, "uri": f"models:/{name}@{CANDIDATE}"}
    uri, kept = f"models:/{name}/{version}", better.describe(name, sweep, version, score)
    client.update_model_version(name, version, _description(sweep, trial, test, uri=uri))
    return {"model": name, "version": version, "alias": None, "uri": uri, "kept": kept}


@dataclass(frozen=True)
class _BetterVersion:
    """The version that keeps the alias, its trial and its score."""

    version: str
    trial_id: str
    score: VersionScore

    def describe(self, name: str, sweep: Sweep, version: str, score: VersionScore) -> str:
        """Return a sentence that says so; version, score: of the sweep's own model."""
        return (
            f"models:/{name}@{CANDIDATE} stays version {self.version}, the model of {self.trial_id}: on the same "
            f"images it has {sweep.metric} {self.score.value:.4f}, and version {version}, the best of this sweep, "
            f"{score.value:.4f}"
        )


def _find_better(
    client: MlflowClient,
    name: str,
    version: str,
    sweep: Sweep,
    score: VersionScore | None,
    find_records: Callable[[str], tuple[Sweep, Trial] | None],
) -> _BetterVersion | None:
    """Return the present candidate if it is of another sweep and better than `version`, which has `score`."""
    present = client.get_registered_model(name).aliases.get(CANDIDATE)
    if score is None or present is None or str(present) == version:
        return None
    holder = client.get_model_version(name, present)
    trial_id = holder.tags.get("meltpoint.trial_id", "")
    records = find_records(trial_id)
    known = VersionScore.from_tags(holder.tags) or (records and VersionScore.from_records(*records))
    if known is None or holder.tags.get("meltpoint.sweep_id") == sweep.id:
        return None
    return _BetterVersion(str(present), trial_id, known) if score.is_worse_than(known, sweep.goal) else None


def _registered_name(sweep: Sweep) -> str:
    return str(sweep.settings["register.model"])


def _description(sweep: Sweep, trial: Trial, test: Mapping[str, float | None], *, uri: str | None = None) -> str:
    """Return the card of an unconfirmed candidate.

    test: readings on the test images, by measure. uri: of a version that does not have the alias.
    """
    name = _registered_name(sweep)
    card = ModelCard(
        headline=f"**Unconfirmed candidate**: the best trial of sweep {sweep.id} ({sweep.name}), {trial.id}.",
        uri=uri or f"models:/{name}@{CANDIDATE}",
        test=test,
        test_images=sweep.count_images("test"),
        limits=[
            "It is unconfirmed: the best of many trials is likely to be better here than on new images. "
            f"{_way_to_confirm(sweep)}"
        ],
    )
    return write_card(sweep, trial, card)


def _way_to_confirm(sweep: Sweep) -> str:
    if sweep.count_images("confirm") == 0:
        return "It cannot be confirmed: the sweep kept no images apart for that (data.split.confirm)."
    return f"`meltpoint confirm {sweep.id}` retrains it on fresh seeds."


def _logged_model(client: MlflowClient, sweep: Sweep, trial: Trial) -> LoggedClassifier | None:
    """Return the whole model that this trial's run has already; delete models that were left unfinished."""
    query = f"source_run_id = '{trial.mlflow_run_id}'"
    try:
        models = client.search_logged_models([_experiment_id(sweep)], filter_string=query)
    except MlflowException as error:
        if not lacks_logged_models(error):
            raise
        return find_run_model(client, str(trial.mlflow_run_id))
    for model in models:
        if model.status != LoggedModelStatus.READY:
            client.delete_logged_model(model.model_id)
    ready = (str(model.model_id) for model in models if model.status == LoggedModelStatus.READY)
    return next((LoggedClassifier(uri=f"models:/{model_id}", model_id=model_id) for model_id in ready), None)


def _experiment_id(sweep: Sweep) -> str:
    assert sweep.mlflow is not None, sweep
    return str(sweep.mlflow["experiment_id"])


def _log(client: MlflowClient, sweep: Sweep, trial: Trial, data: PreparedData) -> LoggedClassifier:
    return log_classifier(
        client,
        best_model(trial, data),
        data,
        experiment_id=_experiment_id(sweep),
        run_id=str(trial.mlflow_run_id),
        name=f"{sweep.name}-{trial.id}",
        step=trial.best_epoch or 0,
        recipe=trial.recipe,
        tags={
            "mlflow.source.name": Path(sweep.spec_file).name,
            "meltpoint.sweep_id": sweep.id,
            "meltpoint.trial_id": trial.id,
            "meltpoint.identity": trial.identity,
        },
        metadata={"sweep": sweep.id},
    )
