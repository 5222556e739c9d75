"""Runs of trainings by recipes in MLflow: experiment `NAME-production`, a run a training, its model logged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from search_spaces import Goal
from service.clocks import now_ms
from service.errors import ArtifactError, TrackingError
from service.exports import RecipeFile, write_recipe
from service.formats import brief
from service.ledgers import EpochRow
from service.models.logged import log_classifier, tracking_to
from service.settings import Home
from service.tracking import prepare_local_store
from service.tracking.experiments import find_or_create_experiment
from service.tracking.run_contents import dataset_input, epoch_metrics, recipe_params
from service.tracking.run_writers import RunUpdate, RunWriter
from service.trainings.loop import Trained
from service.trainings.outcomes import Promise, SplitScore
from service.trainings.preparation import Prepared
from service.trainings.requests import TrainingRequest

__all__ = ["ProductionRun", "experiment_name"]


def experiment_name(file: RecipeFile) -> str:
    """Return the name of the experiment for trainings by recipes of a sweep."""
    return f"{file.chosen.name}-production"


class ProductionRun:
    """The run of one training. Use as a context: a training that ends with an error ends its run as failed.

    Epochs that MLflow does not take are kept, and written with the next ones.

    Raises (on entering): TrackingError: MLflow cannot be reached.
    Raises (`conclude`): ArtifactError, MlflowException, or what the network raises.
    """

    def __init__(self, home: Home, request: TrainingRequest, prepared: Prepared) -> None:
        self._home, self._request, self._prepared = home, request, prepared
        self._waiting: list[EpochRow] = []
        self._has_ended = False
        self.run_id: str | None = None

    def __enter__(self) -> ProductionRun:
        home, file = self._home, self._request.file
        try:
            prepare_local_store(home)
            self._client = MlflowClient(tracking_uri=home.tracking_uri)
            self._runs = RunWriter(self._client)
            folder = home.mlflow_artifacts if home.has_local_tracking else None
            self._experiment_id = find_or_create_experiment(self._client, experiment_name(file), folder).id
            self.run_id = self._runs.create(self._experiment_id, self._tags(), now_ms(), self._beginning())
            self._runs.log_text(self.run_id, write_recipe(file), "recipe/recipe.yaml")
        except Exception as error:  # MLflow's client raises what its stores and the network raise
            reason = str(error) if isinstance(error, ArtifactError) else brief(str(error) or type(error).__name__)
            raise TrackingError(
                f"MLflow at {home.tracking_uri} cannot be written, so nothing was trained: {reason}"
            ) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.end("KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED")

    def end(self, status: str) -> None:
        """End the run with one of MLflow's states, if it has not ended and MLflow takes it."""
        if self.run_id is None or self._has_ended:
            return
        with suppress(Exception):  # the error that led here counts
            self._runs.write(self.run_id, RunUpdate(status=status, ended_at=now_ms()))
        self._has_ended = True

    def add_epoch(self, row: EpochRow) -> None:
        """Write the readings of an epoch, now or later."""
        self._waiting.append(row)
        with suppress(Exception):  # `conclude` writes again
            self._write_waiting()

    def conclude(self, trained: Trained, scores: Sequence[SplitScore], promise: Promise) -> str:
        """Write what is left, log the model, and end the run; return the model's URI."""
        assert self.run_id is not None
        self._write_waiting()
        file, data = self._request.file, self._prepared.data
        step, at = trained.best_epoch, now_ms()
        metrics = [
            Metric(f"{score.split}/{name}", value, at, step)
            for score in scores
            for name, value in score.metrics.items()
            if math.isfinite(value) and score.split != "val"
        ]
        metrics.append(Metric("best/epoch", float(step), at, step))
        if trained.best_value is not None:
            metrics.append(Metric(f"best/{file.training.metric}", trained.best_value, at, step))
        tags = [RunTag(f"meltpoint.read.{score.split}", "train") for score in scores if score.split != "val"]
        tags += [RunTag("meltpoint.promise", promise.sentence()), RunTag("meltpoint.state", "completed")]
        if promise.is_kept is not None:
            tags.append(RunTag("meltpoint.promise.is_kept", str(promise.is_kept).lower()))
        self._runs.write(self.run_id, RunUpdate(metrics=metrics, tags=tags))  # they arrive also if the model does not
        with tracking_to(self._home.tracking_uri):
            logged = log_classifier(
                self._client,
                trained.classifier(),
                data,
                experiment_id=self._experiment_id,
                run_id=self.run_id,
                name=file.chosen.name,
                step=step,
                recipe=file.hyperparameters.flat(),
                tags={"mlflow.source.name": self._request.path.name, "meltpoint.sweep_id": file.chosen.sweep},
                metadata={"sweep": file.chosen.sweep, "chosen": file.chosen.how},
            )
        linked = [
            Metric(metric.key, metric.value, at, step, model_id=logged.model_id)
            for metric in metrics
            if logged.model_id is not None and metric.key.partition("/")[0] in {score.split for score in scores}
        ]
        self._runs.write(self.run_id, RunUpdate(metrics=linked, status="FINISHED", ended_at=at))
        self._has_ended = True
        return logged.uri

    def _write_waiting(self) -> None:
        assert self.run_id is not None
        metrics = [metric for row in self._waiting for metric in epoch_metrics(row)]
        self._runs.write(self.run_id, RunUpdate(metrics=metrics))
        self._waiting = []

    def _tags(self) -> dict[str, str]:
        file = self._request.file
        seed = self._request.chosen_seed
        return {
            "mlflow.runName": f"{file.chosen.name} seed {seed}{' full data' if self._request.full_data else ''}",
            "mlflow.source.name": self._request.path.name,
            "meltpoint.kind": "training",
            "meltpoint.state": "running",
            "meltpoint.identity": file.hyperparameters.identity,
            "meltpoint.from_sweep": file.chosen.sweep,
            "meltpoint.chosen": file.chosen.how,
            "meltpoint.claim": file.claim if file.is_as_exported else "dropped: changed by hand",
        }

    def _beginning(self) -> RunUpdate:
        file, data, request = self._request.file, self._prepared.data, self._request
        policy = {
            "seed": request.chosen_seed,
            "epochs": request.epochs,
            "full_data": request.full_data,
            "metric.name": file.training.metric,
            "metric.goal": Goal(file.training.goal).value,
            "data.source": file.data.source if request.data is None else request.data,
            "data.image_size": file.data.image_size,
        }
        params = [
            *recipe_params(file.hyperparameters.flat()),
            *(Param(name, str(value)) for name, value in policy.items()),
        ]
        about = data.summary() | {"source": policy["data.source"], "split": file.data.split.model_dump()}
        return RunUpdate(params=params, datasets=[dataset_input(about)])
