"""How good predictions are: the published metrics, from class probabilities and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, roc_auc_score

__all__ = ["Evaluation", "score"]

_ECE_BINS = 15

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """`metrics` by name; `confusion[true, predicted]` (C, C); `probabilities` (N, C) for `labels` (N,)."""

    metrics: dict[str, float]
    confusion: Ints
    probabilities: Floats
    labels: Ints

    @property
    def recalls(self) -> Floats:
        """(C,) the share of each class's images that was recognised; NaN for a class that does not occur."""
        occurring = self.confusion.sum(axis=1)
        found = np.full(len(occurring), np.nan)
        np.divide(self.confusion.diagonal(), occurring, out=found, where=occurring > 0)
        return found


def score(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> Evaluation:
    """Score class probabilities (N, C), whose rows sum to 1, against labels (N,) in 0..C-1.

    Metrics: loss (mean cross-entropy in nats), accuracy, balanced_accuracy (mean recall of the classes that
    occur), macro_f1 (mean over the classes that occur or are predicted), auroc (two classes: of class 1;
    more: one against the rest, mean over the classes that occur; NaN where a single class occurs), ece (15
    bins; Guo et al. 2017). Raises ValueError for empty input, other shapes, numbers that are no
    probabilities, or labels out of range.
    """
    chances = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(labels, dtype=np.int64)
    _check(chances, truth)
    classes = chances.shape[1]
    predicted = chances.argmax(axis=1)
    confusion = np.asarray(confusion_matrix(truth, predicted, labels=range(classes)), dtype=np.int64)
    occurring = confusion.sum(axis=1)
    recalls = confusion.diagonal()[occurring > 0] / occurring[occurring > 0]
    chosen = chances[np.arange(len(truth)), truth]
    metrics = {
        "loss": float(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean()),
        "accuracy": float(accuracy_score(truth, predicted)),
        "balanced_accuracy": float(recalls.mean()),
        "macro_f1": float(f1_score(truth, predicted, average="macro", zero_division=0.0)),
        "auroc": _auroc(chances, truth),
        "ece": _calibration_error(chances.max(axis=1), predicted == truth),
    }
    return Evaluation(metrics=metrics, confusion=confusion, probabilities=chances, labels=truth)


def _check(chances: Floats, truth: Ints) -> None:
    if chances.ndim != 2 or chances.shape[1] < 2 or len(chances) == 0 or truth.shape != chances.shape[:1]:
        raise ValueError(f"need probabilities (N, C >= 2) and labels (N,) ({chances.shape}, {truth.shape})")
    if not (np.all(chances >= 0) and np.allclose(chances.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("probabilities must be finite, not negative, and sum to 1 in each row")
    if truth.min() < 0 or truth.max() >= chances.shape[1]:
        raise ValueError(f"labels must be 0..{chances.shape[1] - 1} ({truth.min()}..{truth.max()})")


def _auroc(chances: Floats, truth: Ints) -> float:
    occurring = np.unique(truth)
    if len(occurring) < 2:
        return float("nan")
    positives = [1] if chances.shape[1] == 2 else occurring
    return float(np.mean([roc_auc_score(truth == positive, chances[:, positive]) for positive in positives]))


def _calibration_error(confidence: Floats, correct: NDArray[np.bool_]) -> float:
    """Expected calibration error over 15 equal-width bins of confidence (Guo et al. 2017, eq. 3).

    A bin holds (k/15, (k+1)/15]; its gap between accuracy and mean confidence weighs by its examples.
    """
    bins = np.clip(np.ceil(confidence * _ECE_BINS) - 1, 0, _ECE_BINS - 1).astype(np.int64)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=_ECE_BINS)
    return float(np.abs(gaps).sum() / len(confidence))
