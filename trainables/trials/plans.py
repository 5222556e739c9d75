"""What a worker is told about a trial, known without loading torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces import Goal

__all__ = ["Before", "TrialPlan"]

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Before:
    """Of an earlier attempt: the paths of its newest checkpoint and of its best epoch's, and that epoch's value."""

    latest: str | None
    best: str | None
    value: float | None


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """All that a worker needs to know, as plain values that travel.

    Args:
        recipe: dotted names and values.
        epochs: how many to train in all.
        report_at: epochs (from 1) after which to report at once.
        data, split_key: where the prepared images are, and which split of them.
        folder: where this trial keeps its best checkpoint and predictions.
        metric, goal: name of the metric by which the best epoch is kept, and its direction.
        device: `cpu` or `cuda`.
        code: folder that modules of the user's own may lie in, or "".
        sharing: fields of a `SharingSettings`; None computes every activation anew.
        before: fields of a `Before`; None where this is the first attempt.
    """

    recipe: Json
    seed: int
    epochs: int
    report_at: Sequence[int]
    data: str
    split_key: str
    folder: str
    metric: str
    goal: Goal
    device: str = "cpu"
    code: str = ""
    sharing: Json | None = None
    before: Json | None = None
