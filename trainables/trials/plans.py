"""The plan of a trial, which its worker receives. This module does not import torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces import Goal

__all__ = ["ResumePoint", "TrialPlan"]

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """Checkpoints of an earlier attempt, from which another attempt resumes.

    Attributes:
        latest: location of the newest checkpoint.
        best: location of the best epoch's checkpoint.
        value: value of the metric in the best epoch.
    """

    latest: str | None
    best: str | None
    value: float | None


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """Everything that a worker needs to train a trial, as plain values that can be sent.

    Args:
        recipe: hyperparameters by dotted name.
        seed: seed of the training.
        epochs: epochs to train in all.
        report_at: epochs (from 1) after which to report at once.
        images: fields of an `ImagesReference`.
        images_root: folder of all prepared images of the node.
        folder: place of the trial's checkpoints: a local folder, or a URI.
        marker: location of a file that the driver has written into the same store; "" if nothing is checked.
        metric: name of the metric that decides the best epoch.
        goal: direction of the metric.
        own_metrics: functions of the user's own that measure further metrics.
        device: `cpu` or `cuda`.
        code: folder that may contain own modules, or "".
        sharing: fields of a `SharingSettings`; None computes every activation anew.
        resume_from: fields of a `ResumePoint`; None for a first attempt.
        extra_splits: splits besides val on which the best epoch's model predicts at the end.
        own_code: digest of each module with own code that the node must have, by the module's name.
        weights_digest: of the backbone's starting weights that the node must have; None if they are not compared.
        node: name of the node that trains, for errors.
        members: processes that train the trial together, each on a GPU of its own.
    """

    recipe: Json
    seed: int
    epochs: int
    report_at: Sequence[int]
    images: Json
    images_root: str
    folder: str
    metric: str
    goal: Goal
    own_metrics: Sequence[str] = ()
    device: str = "cpu"
    code: str = ""
    sharing: Json | None = None
    resume_from: Json | None = None
    extra_splits: Sequence[str] = ()
    own_code: Mapping[str, str] = field(default_factory=dict)
    weights_digest: str | None = None
    node: str = ""
    members: int = 1
    marker: str = ""
