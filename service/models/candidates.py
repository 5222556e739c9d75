"""Candidates: a trial's model, exported as pt2, logged to MLflow and registered under the alias `candidate`."""

from __future__ import annotations

from collections.abc import Mapping
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
) -> Json:
    """Register a logged model and give it the alias `candidate`; a version that is there already is kept.

    test: readings on the test images, by measure.
    Returns the registered name, version, alias and URI.
    """
    name = _registered_name(sweep)
    version = find_version(client, name, trial)
    if version is None:
        description = _description(sweep, trial, test)
        with tracking_to(tracking_uri):
            version = register_version(client, name, logged, trial, description)
    show_version(client, logged, name, version)
    client.set_registered_model_alias(name, CANDIDATE, version)
    return {"model": name, "version": version, "alias": CANDIDATE, "uri": f"models:/{name}@{CANDIDATE}"}


def _registered_name(sweep: Sweep) -> str:
    return str(sweep.settings["register.model"])


def _description(sweep: Sweep, trial: Trial, test: Mapping[str, float | None]) -> str:
    """Return the card of an unconfirmed candidate; test: readings on the test images, by measure."""
    name = _registered_name(sweep)
    card = ModelCard(
        headline=f"**Unconfirmed candidate**: the best trial of sweep {sweep.id} ({sweep.name}), {trial.id}.",
        uri=f"models:/{name}@{CANDIDATE}",
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
