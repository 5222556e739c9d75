"""Trained classifiers, exported as pt2 and logged to a run of MLflow."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pytorch
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import Schema, TensorSpec

from service.ledgers import Json
from service.models.artifacts import writing_artifact
from trainables.classifiers import Classifier, Ensemble, export_module
from trainables.stores.prepared import PreparedData

__all__ = ["LoggedClassifier", "find_run_model", "lacks_logged_models", "log_classifier", "tracking_to"]

EXAMPLE_SIZE = 32
"""Pixels to which the example that is logged with a model is thinned out: MLflow writes it as text, twice."""

_SAMPLE = 64
"""Training images that are looked at: photos of more than 0 and 1 let the model refuse images of nothing else."""

SERVING_PACKAGES = ("torch", "numpy", "mlflow")

_NOT_IN_NAMES = str.maketrans(dict.fromkeys("/:.%\"'", "-"))
"""Characters that MLflow takes in the name of a registered model, but not in that of a logged one."""


_RUN_MODEL = "model"
"""Folder of a model among its run's artifacts, on a server without logged models."""

_RUN_MODEL_TAG = "meltpoint.model"
"""The tag of a run whose artifacts have its whole model; its value is the folder."""


@dataclass(frozen=True, kw_only=True)
class LoggedClassifier:
    """A model that MLflow has. uri: finds its files. model_id: None on a server without logged models (MLflow 2)."""

    uri: str
    model_id: str | None


class _Flavor:
    """MLflow's flavour for torch, without the check of the example, which would load the model again.

    That check is not needed: before a sweep begins, every backbone's export is known to give what the model gives.
    """

    __name__ = mlflow.pytorch.__name__

    @staticmethod
    def save_model(path: str, mlflow_model: Model, *, validate_serving_input: bool, **options: object) -> None:
        """Save the model; `Model.log` passes `validate_serving_input` on, which the flavour does not take."""
        assert not validate_serving_input
        mlflow.pytorch.save_model(path=path, mlflow_model=mlflow_model, **options)


def log_classifier(
    client: MlflowClient,
    classifier: Classifier | Ensemble,
    data: PreparedData,
    *,
    experiment_id: str,
    run_id: str,
    name: str,
    step: int,
    recipe: Json,
    tags: Mapping[str, str],
    metadata: Json,
) -> LoggedClassifier:
    """Log a classifier on the CPU to a run, inside `tracking_to`.

    A server without logged models (MLflow 2) gets the model as artifacts of the run.

    data: the images that it was trained on. name: of the registered model that it may become. step: MLflow links the
    run's metrics of this step to the model. recipe: hyperparameters by dotted name. metadata: for the model's file,
    beside classes, image size, interpolation and recipe.

    Raises:
        ArtifactError: the model's files cannot be written.
        MlflowException: MLflow does not take the model.
    """
    size = int(data.images.shape[1])
    sample = data.images[data.splits["train"][:_SAMPLE]]
    module = export_module(classifier, size, data.interpolation, refuses_fractions=bool(np.max(sample) > 1))
    step_in_pixels = max(1, size // EXAMPLE_SIZE)
    rows = np.concatenate([data.splits["val"], data.splits["train"]])[:2]
    example = np.ascontiguousarray(data.images[rows][:, ::step_in_pixels, ::step_in_pixels])
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, -1, -1, 3))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(data.classes)))]),
    )
    options: dict[str, Any] = {
        "pytorch_model": module,
        "input_example": example,
        "signature": signature,
        "serialization_format": "pt2",
        "pip_requirements": [f"{package}=={importlib.metadata.version(package)}" for package in SERVING_PACKAGES],
        "metadata": {
            "classes": list(data.classes),
            "image_size": size,
            "interpolation": data.interpolation,
            "recipe": recipe,
            **metadata,
        },
    }
    try:
        # The client adds no tags of its own, as `mlflow.start_run` would: source file, commit, folder of this program.
        model = client.create_logged_model(
            experiment_id,
            name=name.translate(_NOT_IN_NAMES),
            source_run_id=run_id,
            params={name: str(value) for name, value in recipe.items()},
            tags=dict(tags),
        )
    except MlflowException as error:
        if not lacks_logged_models(error):
            raise
        return _log_to_run(client, run_id, options)
    with writing_artifact(client, run_id):
        Model.log(
            None,
            _Flavor(),
            model_id=model.model_id,
            run_id=run_id,
            step=step,
            validate_serving_input=False,
            **options,
        )
    return LoggedClassifier(uri=f"models:/{model.model_id}", model_id=str(model.model_id))


def _log_to_run(client: MlflowClient, run_id: str, options: Mapping[str, Any]) -> LoggedClassifier:
    """Write a model to its run's artifacts."""
    with tempfile.TemporaryDirectory() as folder, writing_artifact(client, run_id):
        whole = Path(folder) / _RUN_MODEL
        mlflow.pytorch.save_model(path=str(whole), mlflow_model=Model(_RUN_MODEL, run_id), **options)
        client.log_artifacts(run_id, str(whole), _RUN_MODEL)
    client.set_tag(run_id, _RUN_MODEL_TAG, _RUN_MODEL)
    return _run_model(run_id)


def find_run_model(client: MlflowClient, run_id: str) -> LoggedClassifier | None:
    """Return the whole model among a run's artifacts; None if there is none.

    A tag tells, since MLflow 3 cannot list folders of artifacts of MLflow 2: it looks for a logged model there.
    """
    return _run_model(run_id) if _RUN_MODEL_TAG in client.get_run(run_id).data.tags else None


def _run_model(run_id: str) -> LoggedClassifier:
    return LoggedClassifier(uri=f"runs:/{run_id}/{_RUN_MODEL}", model_id=None)


def lacks_logged_models(error: MlflowException) -> bool:
    """Return whether an answer about logged models says that the server knows none, as those before MLflow 3."""
    return "/logged-models" in str(error) and "failed with error code 404" in str(error)


@contextmanager
def tracking_to(uri: str) -> Iterator[None]:
    """Let the process track to `uri` while entered: `mlflow` logs and finds models there."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # the documented types lack what unsets it
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before
