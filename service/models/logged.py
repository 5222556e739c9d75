"""Trained classifiers, exported as pt2 and logged to a run of MLflow."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import mlflow.pytorch
import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import Schema, TensorSpec

from service.ledgers import Json
from trainables.classifiers import Classifier, Ensemble, export_module
from trainables.stores.prepared import PreparedData

__all__ = ["log_classifier", "tracking_to"]

EXAMPLE_SIZE = 32
"""Pixels to which the example that is logged with a model is thinned out: MLflow writes it as text, twice."""

_SAMPLE = 64
"""Training images that are looked at: photos of more than 0 and 1 let the model refuse images of nothing else."""

SERVING_PACKAGES = ("torch", "numpy", "mlflow")

_NOT_IN_NAMES = str.maketrans(dict.fromkeys("/:.%\"'", "-"))
"""Characters that MLflow takes in the name of a registered model, but not in that of a logged one."""


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
) -> str:
    """Log a classifier on the CPU to a run, inside `tracking_to`, and return the logged model's id.

    data: the images that it was trained on. name: of the registered model that it may become. step: MLflow links the
    run's metrics of this step to the model. recipe: hyperparameters by dotted name. metadata: for the model's file,
    beside classes, image size, interpolation and recipe.

    Raises:
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
    # The client adds no tags of its own, as `mlflow.start_run` would: source file, commit and folder of this program.
    model = client.create_logged_model(
        experiment_id,
        name=name.translate(_NOT_IN_NAMES),
        source_run_id=run_id,
        params={name: str(value) for name, value in recipe.items()},
        tags=dict(tags),
    )
    Model.log(
        None,
        _Flavor(),
        model_id=model.model_id,
        run_id=run_id,
        step=step,
        pytorch_model=module,
        validate_serving_input=False,
        input_example=example,
        signature=signature,
        serialization_format="pt2",
        pip_requirements=[f"{package}=={importlib.metadata.version(package)}" for package in SERVING_PACKAGES],
        metadata={
            "classes": list(data.classes),
            "image_size": size,
            "interpolation": data.interpolation,
            "recipe": recipe,
            **metadata,
        },
    )
    return str(model.model_id)


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
