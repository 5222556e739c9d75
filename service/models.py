"""The best trial's model: rebuilt from its checkpoint, exported as pt2, registered under the alias `candidate`."""

from __future__ import annotations

import importlib.metadata
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.tracking import MlflowClient
from mlflow.types.schema import Schema, TensorSpec

from search_spaces import Recipe
from service.records import Json, Sweep, Trial
from trainables.checkpoints import load_checkpoint
from trainables.evaluation import Evaluation
from trainables.export import export_module
from trainables.own_code import importable_from
from trainables.own_metrics import with_own_metrics
from trainables.prepared import PreparedData
from trainables.training import Trainer

CANDIDATE = "candidate"
SERVING_PACKAGES = ("torch", "numpy", "mlflow")


@dataclass(frozen=True, kw_only=True)
class BestModel:
    """Where the best trial's weights are, and the data it was trained on."""

    trial: Trial
    data: PreparedData

    def trainer(self) -> Trainer:
        """The trial's trainer as it stood after its best epoch.

        Raises:
            CheckpointError: the checkpoint is gone or damaged.
        """
        assert self.trial.checkpoint is not None, self.trial
        trainer = Trainer(self.data, Recipe.from_flat(self.trial.recipe), seed=self.trial.seed)
        trainer.load_state_dict(load_checkpoint(Path(self.trial.checkpoint)).tensors)
        return trainer

    def test(self, metrics: Sequence[str] = ()) -> Evaluation | None:
        """Its reading on the test images, which no choice of the sweep has seen; None where the split has none.

        metrics: names of own code to be measured too.
        """
        if len(self.data.splits["test"]) == 0:
            return None
        return with_own_metrics(self.trainer().evaluate("test"), metrics)


def candidate_payload(best: BestModel, test: Evaluation | None, *, code: Path) -> Json:
    """What the outbox must remember to register the model later; modules of own code may lie in the folder `code`."""
    metrics = {} if test is None else test.metrics
    return {
        "data": str(best.data.folder),
        "split_key": best.data.split_key,
        "code": str(code),
        "test": {name: value if math.isfinite(value) else None for name, value in metrics.items()},
    }


def log_candidate(client: MlflowClient, *, sweep: Sweep, trial: Trial, payload: Json, tracking_uri: str) -> Json:
    """Log and register the model, once: a version that already carries this trial's tag is left as it is."""
    name = str(sweep.plan["register.model"])
    version = _version_of(client, name, trial)
    if version is None:
        importable_from(Path(payload["code"]))
        data = PreparedData.open(Path(payload["data"]), payload["split_key"])
        with _tracking_to(tracking_uri):
            model_id = _logged(client, sweep, trial) or _log(sweep, trial, data)
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
    query = f"source_run_id = '{trial.mlflow_run_id}' and status = 'READY'"
    found = client.search_logged_models([sweep.mlflow["experiment_id"]], filter_string=query, max_results=1)
    return str(found[0].model_id) if found else None


def _log(sweep: Sweep, trial: Trial, data: PreparedData) -> str:
    size = int(data.images.shape[1])
    module = export_module(BestModel(trial=trial, data=data).trainer().model, size, data.interpolation)
    example = np.ascontiguousarray(data.images[data.splits["val"][:2]])
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, -1, -1, 3))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(data.classes)))]),
    )
    with mlflow.start_run(run_id=trial.mlflow_run_id):
        model: ModelInfo = mlflow.pytorch.log_model(
            module,
            name="model",
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
