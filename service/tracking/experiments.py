"""Experiments of MLflow, found by their names."""

from __future__ import annotations

from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

__all__ = ["find_or_create_experiment"]


def find_or_create_experiment(client: MlflowClient, name: str, folder: Path | None) -> str:
    """Return the id of the experiment of that name; create it, or restore it if it was deleted.

    folder: of the artifacts of all experiments in the home's own store; None leaves the place to MLflow's server.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)
    location = None if folder is None else (folder / name).as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return find_or_create_experiment(client, name, folder)
