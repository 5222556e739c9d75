"""Readings of the test images for the gate: which images a model gets right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import torch
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

from search_spaces import MeltpointError
from service.clocks import now_ms
from service.ledgers import PackedPredictions, Trial
from service.models.logged import tracking_to
from service.models.rebuilt import best_model
from service.promotions.images import SweepImages
from trainables.classifiers import export_module
from trainables.stores.prepared import PreparedData
from trainables.training.predictions import pack, unpack

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["IncomparableError", "Right", "read_known_test", "read_test", "read_test_of_version"]

READ_BY = "promotion"
BATCH = 128

Right = NDArray[np.bool_]


class IncomparableError(MeltpointError):
    """A model cannot be compared with another on the same images."""


def read_test(ledger: Ledger, trial: Trial, data: PreparedData) -> Right:
    """Return on which test images a trial's model is right, (N,); images that were read before are not read again."""
    labels = data.labels[data.splits["test"]]
    if not len(labels):
        return np.zeros(0, dtype=np.bool_)
    known = read_known_test(ledger, trial.id, data)
    if known is not None:
        return known
    module = export_module(best_model(trial, data), int(data.images.shape[1]), data.interpolation)
    with torch.inference_mode():
        batches = [module(torch.from_numpy(images)).numpy() for images in _batches(data)]
    probabilities = np.concatenate(batches)
    packed = PackedPredictions(
        split="test",
        epoch=trial.best_epoch or 0,
        images=len(labels),
        packed=pack(probabilities, labels),
        read_by=READ_BY,
        read_at=now_ms(),
    )
    ledger.predictions.add(trial.id, [packed])
    right: Right = probabilities.argmax(axis=1) == labels
    return right


def read_known_test(ledger: Ledger, trial_id: str, data: PreparedData) -> Right | None:
    """Return what the ledger knows of a trial's model on the test images `data` has; None if it knows nothing."""
    labels, known = data.labels[data.splits["test"]], ledger.predictions.get(trial_id, "test")
    if known is None or known.images != len(labels):
        return None
    right: Right = unpack(known.packed).predicted == labels
    return right


def read_test_of_version(version: ModelVersion, data: PreparedData, images: SweepImages, *, tracking_uri: str) -> Right:
    """Return on which test images of a sweep a version of a registered model is right, (N,).

    data: the sweep's images. images: gives them in the size in which the version takes them.

    Raises:
        IncomparableError: the version is not a classifier of the same classes that takes photos as ours do.
        MlflowException: MLflow does not answer.
    """
    with tracking_to(tracking_uri):
        uri = f"models:/{version.name}/{version.version}"
        metadata = _metadata(uri)
        if metadata.get("classes") != list(data.classes):
            theirs = metadata.get("classes")
            reason = "it was not registered by Meltpoint" if theirs is None else f"its classes are {', '.join(theirs)}"
            raise IncomparableError(reason)
        size, interpolation = int(metadata["image_size"]), metadata["interpolation"]
        if (size, interpolation) != (int(data.images.shape[1]), data.interpolation):
            data = images.open_as(size, interpolation)
        try:
            model = mlflow.pyfunc.load_model(uri)
        except Exception as error:  # a model of anybody's may fail in any way; MLflow has just answered
            raise IncomparableError(f"it cannot be loaded: {_first_line(error)}") from error
        try:
            predicted = np.concatenate([np.asarray(model.predict(batch)).argmax(axis=1) for batch in _batches(data)])
        except Exception as error:
            raise IncomparableError(f"it cannot read the test images: {_first_line(error)}") from error
    right: Right = predicted == data.labels[data.splits["test"]]
    return right


def _metadata(uri: str) -> dict[str, Any]:
    try:
        return dict(mlflow.models.get_model_info(uri).metadata or {})
    except (MlflowException, OSError) as error:
        if isinstance(error, MlflowException) and error.error_code in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE"):
            raise
        raise IncomparableError(f"its files cannot be read: {_first_line(error)}") from error


def _batches(data: PreparedData) -> list[NDArray[np.uint8]]:
    rows = data.splits["test"]
    return [np.ascontiguousarray(data.images[rows[start : start + BATCH]]) for start in range(0, len(rows), BATCH)]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
