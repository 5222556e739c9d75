"""The best trial's model: rebuilt from its checkpoint, exported as pt2, registered under the alias `candidate`."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow.pytorch
import numpy as np
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.tracking import MlflowClient
from mlflow.types.schema import Schema, TensorSpec

from service.ledgers import Json, Sweep, Trial
from service.models.rebuilt import best_model
from trainables.classifiers import export_module
from trainables.own_code import importable_from
from trainables.stores.prepared import PreparedData

CANDIDATE = "candidate"
EXAMPLE_SIZE = 32
"""Pixels to which the example that is logged with a model is thinned out: MLflow writes it as text, twice."""

SERVING_PACKAGES = ("torch", "numpy", "mlflow")


def log_model(client: MlflowClient, *, sweep: Sweep, trial: Trial, payload: Json, tracking_uri: str) -> str:
    """Log the model to its trial's run, once: the model that is there already is left as it is. Returns its id."""
    found = _logged(client, sweep, trial)
    if found is not None:
        return found
    importable_from(Path(payload["code"]))
    data = PreparedData.open(Path(payload["data"]), payload["split_key"])
    with _tracking_to(tracking_uri):
        return _log(sweep, trial, data)


def log_candidate(client: MlflowClient, *, sweep: Sweep, trial: Trial, payload: Json, tracking_uri: str) -> Json:
    """Register the model, logged if need be, once: a version that carries this trial's tag is left as it is."""
    name = str(sweep.settings["register.model"])
    version = _version_of(client, name, trial)
    if version is None:
        model_id = log_model(client, sweep=sweep, trial=trial, payload=payload, tracking_uri=tracking_uri)
        with _tracking_to(tracking_uri):
            version = _register(client, name, model_id, trial)
    client.set_registered_model_alias(name, CANDIDATE, version)
    return {"model": name, "version": version, "alias": CANDIDATE, "uri": f"models:/{name}@{CANDIDATE}"}


def _register(client: MlflowClient, name: str, model_id: str, trial: Trial) -> str:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {
        "meltpoint.trial_id": trial.id,
        "meltpoint.sweep_id": trial.sweep_id,
        "meltpoint.identity": trial.identity,
    }
    made = client.create_model_version(
        name, source=f"models:/{model_id}", run_id=trial.mlflow_run_id, model_id=model_id, tags=tags
    )
    return str(made.version)


def _version_of(client: MlflowClient, name: str, trial: Trial) -> str | None:
    """The version that this trial's model became already."""
    found = client.search_model_versions(f"run_id = '{trial.mlflow_run_id}'")
    return next((str(version.version) for version in found if version.name == name), None)


def _logged(client: MlflowClient, sweep: Sweep, trial: Trial) -> str | None:
    """The model that this trial's run has already, whole."""
    assert sweep.mlflow is not None, sweep
    query = f"source_run_id = '{trial.mlflow_run_id}'"
    found = client.search_logged_models([sweep.mlflow["experiment_id"]], filter_string=query)
    return next((str(model.model_id) for model in found if model.status == LoggedModelStatus.READY), None)


class _Flavor:
    """MLflow's own for torch. Through `Model.log` its check of the example, which loads the model again, can be left
    out: that every backbone's export gives what the model gave is known before a sweep begins.
    """

    __name__ = mlflow.pytorch.__name__

    @staticmethod
    def save_model(path: str, mlflow_model: Model, *, validate_serving_input: bool, **told: object) -> None:
        mlflow.pytorch.save_model(path=path, mlflow_model=mlflow_model, **told)


def _log(sweep: Sweep, trial: Trial, data: PreparedData) -> str:
    size = int(data.images.shape[1])
    module = export_module(best_model(trial, data), size, data.interpolation)
    step = max(1, size // EXAMPLE_SIZE)
    example = np.ascontiguousarray(data.images[data.splits["val"][:2]][:, ::step, ::step])
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, -1, -1, 3))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(data.classes)))]),
    )
    with mlflow.start_run(run_id=trial.mlflow_run_id):
        model: ModelInfo = Model.log(
            None,
            _Flavor(),
            name="model",
            pytorch_model=module,
            validate_serving_input=False,
            input_example=example,
            signature=signature,
            serialization_format="pt2",
            pip_requirements=[f"{p}=={importlib.metadata.version(p)}" for p in SERVING_PACKAGES],
            metadata={
                "classes": list(data.classes),
                "image_size": size,
                "interpolation": data.interpolation,
                "recipe": trial.recipe,
                "sweep": sweep.id,
            },
        )
    return str(model.model_id)


@contextmanager
def _tracking_to(uri: str) -> Iterator[None]:
    """MLflow's models are logged and found where the whole process tracks to; it forgets that again."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # the documented types lack what unsets it
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before
