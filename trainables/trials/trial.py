"""The training of one trial, from report to report; the best epoch's weights and predictions are kept."""

from __future__ import annotations

import logging
import math
import platform
import time
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field, replace
from pathlib import Path
from typing import Any

from search_spaces import Metric, Recipe
from trainables.activations import SharingSettings
from trainables.checkpoint_stores import check_marker, open_store
from trainables.devices import UsageMeter
from trainables.devices.tensors import NestedTensors
from trainables.errors import CheckpointError, StoreError
from trainables.nodes import Node
from trainables.own_code import check_code_digests, make_importable
from trainables.stores.prepared import PreparedData
from trainables.stores.references import ImagesReference, open_images
from trainables.training import Evaluation, add_own_metrics, own_metric_names
from trainables.training.checkpoints import load_checkpoint, on_cpu, save_checkpoint
from trainables.training.predictions import pack
from trainables.training.teams import ALONE, Team
from trainables.training.trainer import EpochResult, Trainer
from trainables.trials.plans import ResumePoint, TrialPlan
from trainables.trials.team_trainer import TeamTrainer
from trainables.weights.digests import check_weights_digest

Json = dict[str, Any]

log = logging.getLogger(__name__)

REPORT_SECONDS = 10.0
"""A trial reports after the epoch in which so many seconds since its last report have passed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Kept:
    """The best epoch: its number, the state after it, and its evaluation on val."""

    epoch: int
    state: NestedTensors
    val: Evaluation


@dataclass
class TrialTraining:
    """A trial in training. It raises whatever training raises; `report` then has the epochs that did finish.

    Two checkpoints are kept: the best epoch's, and the last report's, from which another attempt resumes. They are
    written with a report; until then the best epoch's state is in memory. A checkpoint that a report named is deleted
    only after a later report named its successor.

    beat: called now and then while the images are prepared.
    """

    plan: TrialPlan
    beat: InitVar[Callable[[], None]] = lambda: None
    _best: float = field(default=math.nan, init=False)
    _checkpoint: str | None = field(default=None, init=False)
    _latest: str | None = field(default=None, init=False)
    _reported: set[str] = field(default_factory=set, init=False)
    _superseded: set[str] = field(default_factory=set, init=False)
    _history: list[Json] = field(default_factory=list, init=False)
    _kept_at: int = field(default=0, init=False)
    _unwritten: _Kept | None = field(default=None, init=False)
    _predictions: dict[str, Json] = field(default_factory=dict, init=False)
    _usage: UsageMeter = field(default_factory=UsageMeter, init=False)

    def __post_init__(self, beat: Callable[[], None]) -> None:
        plan = self.plan
        if plan.marker:
            check_marker(plan.marker, plan.node or Node.here().name)
        self._trainer = TeamTrainer(plan, make_trainer, beat) if plan.members > 1 else make_trainer(plan, ALONE, beat)
        if self.plan.resume_from:
            self._resume(ResumePoint(**self.plan.resume_from))

    def close(self) -> None:
        """End the processes that train together with this one, if there are any."""
        if isinstance(self._trainer, TeamTrainer):
            self._trainer.close()

    def _resume(self, point: ResumePoint) -> None:
        """Resume from the newest checkpoint that is whole, or from the start.

        Raises:
            StoreError: their store cannot be reached; an attempt that can reach it resumes from them.
        """
        for location in dict.fromkeys(name for name in (point.latest, point.best) if name is not None):
            try:
                self._trainer.load_state_dict(load_checkpoint(location).tensors)
            except CheckpointError as error:
                log.warning("%s", error)
                continue
            self._latest = location
            break
        best = point.best
        if best is not None and point.value is not None and open_store(best).exists(best):
            self._best, self._checkpoint = point.value, best
        self._reported = {location for location in (self._latest, self._checkpoint) if location}

    def advance(
        self, *, reports_requested: Callable[[], bool] = lambda: False, beat: Callable[[], None] = lambda: None
    ) -> Json:
        """Train until the next report is due, and return it. It covers every epoch since the last report.

        A report is due after an epoch in `report_at`, after `REPORT_SECONDS`, and if `reports_requested()` is true.

        beat: called at every batch.
        """
        self._trainer.beat = beat
        self._delete_superseded()
        started = time.monotonic()
        while self._trainer.epoch < self.plan.epochs:
            result = self._add_own_metrics(self._trainer.run_epoch())
            row = _row(result, use=self._usage.sample())
            self._keep_if_best(result)
            self._history.append(row)
            late = time.monotonic() - started >= REPORT_SECONDS
            if result.epoch in self.plan.report_at or late or reports_requested():
                break
        return self.report(done=self._trainer.epoch >= self.plan.epochs)

    def _delete_superseded(self) -> None:
        """Delete checkpoints that no report names any longer; the driver deletes those that stay at the trial's end."""
        for location in self._superseded:
            try:
                open_store(location).delete(location)
            except StoreError as error:
                log.warning("%s", error)
        self._superseded = set()

    def report(self, *, done: bool) -> Json:
        """Return everything since the last report. Raises StoreError if a checkpoint cannot be written."""
        self._write_best()
        if not done:
            self._keep_latest()
        elif self._checkpoint is not None:
            self._predict_extra_splits(self._checkpoint)
        rows, self._history = self._history, []
        named = {location for location in (self._checkpoint, self._latest) if location}
        self._superseded |= self._reported - named
        self._reported = named
        predictions, self._predictions = self._predictions, {}
        return {
            "history": rows,
            "done_training": done,
            "best_checkpoint": self._checkpoint,
            "latest_checkpoint": self._latest,
            "sharing": self._trainer.features.summary() | {"node": platform.node()},
            "predictions": predictions,
        }

    def _predict_extra_splits(self, best: str) -> None:
        """Let the best epoch's model predict on the plan's extra splits; nothing is trained afterwards."""
        if not self.plan.extra_splits:
            return
        self._trainer.load_state_dict(load_checkpoint(best).tensors)
        epoch = self._trainer.epoch
        for split in self.plan.extra_splits:
            evaluation = add_own_metrics(self._trainer.evaluate(split), own_metric_names(self.plan.metric))
            self._predictions[split] = _packed(epoch, evaluation) | {"metrics": dict(evaluation.metrics)}

    def _keep_latest(self) -> None:
        """Write the last epoch's checkpoint, unless it is the best epoch's, which is written already."""
        if self._kept_at != self._trainer.epoch:
            self._latest = self._write(self._trainer.epoch, self._state())
        else:
            self._latest = self._checkpoint

    def _add_own_metrics(self, result: EpochResult) -> EpochResult:
        names = dict.fromkeys([*own_metric_names(self.plan.metric), *self.plan.own_metrics])
        return replace(result, val=add_own_metrics(result.val, names))

    def _keep_if_best(self, result: EpochResult) -> None:
        value = result.val.metrics[Metric(self.plan.metric).measure]
        if math.isfinite(value) and self.plan.goal.is_better(value, self._best):
            self._best, self._kept_at = value, result.epoch
            self._unwritten = _Kept(epoch=result.epoch, state=self._state(), val=result.val)

    def _write_best(self) -> None:
        if self._unwritten is None:
            return
        kept = self._unwritten
        self._checkpoint = self._write(kept.epoch, kept.state)
        self._predictions["val"] = _packed(kept.epoch, kept.val)
        self._unwritten = None

    def _state(self) -> NestedTensors:
        """Return the state on the CPU, since a GPU's memory has other uses."""
        return on_cpu(self._trainer.state_dict())

    def _write(self, epoch: int, state: NestedTensors) -> str:
        return save_checkpoint(self.plan.folder, epoch=epoch, tensors=state, meta={"recipe": self.plan.recipe})


def make_trainer(plan: TrialPlan, team: Team, beat: Callable[[], None]) -> Trainer:
    """Make the trainer of a plan.

    team: the processes that train together; each takes the GPU of its rank.
    beat: called now and then while the images are prepared.
    """
    if plan.code:
        make_importable(Path(plan.code))
    check_code_digests(plan.own_code, node=plan.node)
    recipe = Recipe.from_flat(plan.recipe)
    if plan.weights_digest is not None:
        check_weights_digest(recipe.backbone, recipe.weights, plan.weights_digest, node=plan.node)
    return Trainer(
        _opened(plan, beat),
        recipe,
        seed=plan.seed,
        device=plan.device if plan.device == "cpu" or team.size == 1 else f"cuda:{team.rank}",
        epochs=plan.epochs,
        sharing=SharingSettings(**plan.sharing) if plan.sharing else None,
        team=team,
    )


_open_by_digest: dict[tuple[str, str], PreparedData] = {}
"""Images that this process has open, by their folder and digest: they do not change."""

_MOST_OPEN = 2


def _opened(plan: TrialPlan, beat: Callable[[], None]) -> PreparedData:
    """Map the prepared images, once per process."""
    reference = ImagesReference(**plan.images)
    key = (plan.images_root, reference.digest)
    opened = _open_by_digest.pop(key, None)
    if opened is None:
        opened = open_images(reference, root=Path(plan.images_root), node=plan.node or None, beat=beat)
    while len(_open_by_digest) >= _MOST_OPEN:
        del _open_by_digest[next(iter(_open_by_digest))]
    _open_by_digest[key] = opened
    return opened


def _row(result: EpochResult, *, use: dict[str, float]) -> Json:
    """Return an epoch's readings by split. use: of the machine, as `system`; empty if it was not sampled."""
    measured = {"train": dict(result.train), "val": dict(result.val.metrics)}
    return {
        "epoch": result.epoch,
        "seconds": result.seconds,
        "recorded_at": time.time_ns() // 1_000_000,
        "readings": measured | ({"system": use} if use else {}),
    }


def _packed(epoch: int, evaluation: Evaluation) -> Json:
    """Return the predictions of the model of `epoch` for each image, as a report has them."""
    packed = pack(evaluation.probabilities, evaluation.labels)
    return {"epoch": epoch, "images": len(evaluation.labels), "packed": packed, "read_at": time.time_ns() // 1_000_000}
