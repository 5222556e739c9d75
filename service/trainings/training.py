"""A training by a recipe file, from the checks to the model in MLflow."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from search_spaces import MeltpointError
from service.errors import ArtifactError
from service.formats import brief
from service.ledgers import EpochRow
from service.settings import Home
from service.trainings.edits import describe_edit, explain_edit, find_changes
from service.trainings.loop import Trained, train
from service.trainings.outcomes import Promise, SplitScore, TrainingOutcome
from service.trainings.preparation import prepare_training
from service.trainings.production_runs import ProductionRun, experiment_name
from service.trainings.requests import TrainingListener, TrainingRequest
from trainables.devices import keep_freed_memory
from trainables.training.checkpoints import save_checkpoint

__all__ = ["train_by_recipe"]


def train_by_recipe(request: TrainingRequest, *, home: Home, listener: TrainingListener) -> TrainingOutcome:
    """Train by a recipe in this process, compare the score with the recipe's promise, and log all to MLflow.

    The images of confirm are read only if a promise about them is to be checked, those of test once, at the end.

    Raises:
        MeltpointError: the training cannot run, or has failed.
        TrackingError: MLflow cannot be written at the start; nothing was trained.
    """
    started = time.monotonic()
    listener = notices = _NoticeKeeper(listener)
    torch.set_num_threads(request.file.training.threads)
    keep_freed_memory()
    edit = None
    if not request.file.is_as_exported:
        edit = describe_edit(request.path, find_changes(request.file, home))
        listener.notice(explain_edit(request.file, request.path, edit))
    prepared = prepare_training(request, home, listener)
    if prepared.obstacles:
        reasons = "; ".join(prepared.obstacles)
        listener.notice(f"the recipe's expected score says nothing about this training: {reasons}")
    obstacles = (*([edit] if edit else []), *prepared.obstacles)
    listener.working("opening MLflow")
    with ProductionRun(home, request, prepared) as run:

        def epoch_ended(row: EpochRow) -> None:
            run.add_epoch(row)
            listener.epoch_ended(row.epoch, request.epochs, row.metrics(), row.seconds)

        listener.working("training")
        trained = train(request, prepared, epoch_ended=epoch_ended)
        listener.working("reading the test images")
        promise, scores = _read(request, trained, obstacles)
        listener.working("logging the model to MLflow")
        model_uri, tracking_error = None, None
        try:
            model_uri = run.conclude(trained, scores, promise)
        except ArtifactError as error:
            tracking_error = str(error)
            run.end("FAILED")
        except MeltpointError:
            raise
        except Exception as error:  # MLflow's client raises what its stores and the network raise
            tracking_error = brief(str(error) or type(error).__name__)
            run.end("FAILED")
    return TrainingOutcome(
        file=request.file,
        seed=request.chosen_seed,
        epochs=request.epochs,
        best_epoch=trained.best_epoch,
        full_data=request.full_data,
        device=prepared.device,
        seconds=time.monotonic() - started,
        scores=tuple(scores),
        promise=promise,
        experiment=experiment_name(request.file),
        tracking_uri=home.tracking_uri,
        run_id=run.run_id,
        model_uri=model_uri,
        tracking_error=tracking_error,
        saved=None if tracking_error is None else str(_save(home, trained, str(run.run_id))),
        notices=tuple(notices.texts),
    )


class _NoticeKeeper:
    """Passes everything on to a listener, and keeps the texts of the notices."""

    def __init__(self, listener: TrainingListener) -> None:
        self._listener = listener
        self.texts: list[str] = []
        self.working = listener.working
        self.images_decoded = listener.images_decoded
        self.epoch_ended = listener.epoch_ended

    def notice(self, text: str) -> None:
        """Keep the text, and pass it on."""
        self.texts.append(text)
        self._listener.notice(text)


def _read(request: TrainingRequest, trained: Trained, obstacles: tuple[str, ...]) -> tuple[Promise, list[SplitScore]]:
    """Read the images that the training may be measured on."""
    expected = request.file.score
    scores = [] if request.full_data else [trained.read("val")]
    if expected.split == "confirm" and not obstacles:
        scores.append(trained.read("confirm"))
    scores.append(trained.read("test"))
    by_split = {score.split: score for score in scores if score is not None}
    compared = by_split.get(expected.split)
    promise = Promise(
        measure=expected.measure,
        split=expected.split,
        expected=expected.value,
        obstacles=obstacles,
        interval=expected.training_interval,
        score=None if compared is None else compared.metrics.get(expected.measure),
        same_seed=dict(zip(request.file.training.seeds, expected.by_seed, strict=False)).get(request.chosen_seed),
    )
    return promise, list(by_split.values())


def _save(home: Home, trained: Trained, name: str) -> Path:
    """Keep the trained weights in the home, for want of MLflow; return the file."""
    folder = home.root / "trainings" / name
    folder.mkdir(parents=True, exist_ok=True)
    meta = {"recipe": trained.trainer.recipe.flat(), "seed": trained.trainer.seed}
    return Path(save_checkpoint(folder, epoch=trained.best_epoch, tensors=trained.state, meta=meta))
