"""Versions of registered models that are models of trials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from service.ledgers import Trial
from service.models.logged import LoggedClassifier

__all__ = ["find_version", "register_version", "show_version"]


def find_version(client: MlflowClient, name: str, trial: Trial) -> str | None:
    """Return the version of the registered model `name` that is the trial's model already; None if there is none."""
    versions = client.search_model_versions(f"run_id = '{trial.mlflow_run_id}'")
    return next((str(version.version) for version in versions if version.name == name), None)


def register_version(
    client: MlflowClient,
    name: str,
    logged: LoggedClassifier,
    trial: Trial,
    description: str,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Add a logged model to the registered model `name`, which is created if need be; return the version.

    tags: further ones, beside those that name the trial.

    Raises:
        MlflowException: MLflow does not take it.
    """
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    known = {
        "meltpoint.trial_id": trial.id,
        "meltpoint.sweep_id": trial.sweep_id,
        "meltpoint.identity": trial.identity,
    }
    version = client.create_model_version(
        name,
        source=logged.uri,
        run_id=trial.mlflow_run_id,
        model_id=logged.model_id,
        tags=known | dict(tags),
        description=description,
    )
    return str(version.version)


def show_version(client: MlflowClient, logged: LoggedClassifier, name: str, version: str) -> None:
    """Let the page of the logged model, if it has one, link to its versions, as a server of MLflow does by itself."""
    if logged.model_id is None:
        return
    shown = json.loads(client.get_logged_model(logged.model_id).tags.get("mlflow.modelVersions", "[]"))
    entry = {"name": name, "version": version}
    if entry not in shown:
        client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": json.dumps([*shown, entry])})
