"""Evaluation of predictions: the published metrics, from class probabilities and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
        """The share of each class's images that was recognised, (C,); NaN for a class that does not occur."""
        occurring = self.confusion.sum(axis=1)
        shares = np.full(len(occurring), np.nan)
        np.divide(self.confusion.diagonal(), occurring, out=shares, where=occurring > 0)
        return shares


def score(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> Evaluation:
    """Score class probabilities (N, C), whose rows sum to 1, against labels (N,) in 0..C-1.

    Metrics:
    - loss: mean cross-entropy in nats.
    - accuracy.
    - balanced_accuracy: mean recall of the classes that occur.
    - macro_f1: mean over the classes that occur or are predicted.
    - auroc: of class 1 if there are two classes; else one class against the rest, mean over the classes that occur. NaN
      if a single class occurs.
    - ece: expected calibration error, 15 bins (Guo et al. 2017).

    They equal scikit-learn's to the last bit. Its checks of every argument would take longer than an epoch's steps of a
    small head.

    Raises:
        ValueError: empty input, wrong shapes, numbers that are not probabilities, or labels out of range.
    """
    chances = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(labels, dtype=np.int64)
    _check(chances, truth)
    classes = chances.shape[1]
    predicted = chances.argmax(axis=1)
    confusion = np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)
    occurring = confusion.sum(axis=1)
    recalls = confusion.diagonal()[occurring > 0] / occurring[occurring > 0]
    chosen = chances[np.arange(len(truth)), truth]
    metrics = {
        "loss": float(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean()),
        "accuracy": float((predicted == truth).mean()),
        "balanced_accuracy": float(recalls.mean()),
        "macro_f1": _macro_f1(confusion),
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


def _macro_f1(confusion: Ints) -> float:
    """Return the mean of 2 TP / (2 TP + FP + FN) over the classes that occur or are predicted."""
    either = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float((2 * confusion.diagonal()[either > 0] / either[either > 0]).mean())


def _auroc(chances: Floats, truth: Ints) -> float:
    occurring = np.unique(truth)
    if len(occurring) < 2:
        return float("nan")
    positives = [1] if chances.shape[1] == 2 else occurring
    return float(np.mean([_area_under_roc(truth == positive, chances[:, positive]) for positive in positives]))


def _area_under_roc(positive: NDArray[np.bool_], chances: Floats) -> float:
    """Return the area under the curve by trapezoids (Fawcett 2006, algorithm 1); equal probabilities are one step."""
    order = np.argsort(-chances, kind="stable")
    steps = np.append(np.flatnonzero(np.diff(chances[order])), len(order) - 1)
    true = np.cumsum(positive[order])[steps].astype(np.float64)
    false = 1 + steps - true
    if len(steps) > 2:
        corners = np.diff(false, 2).astype(bool) | np.diff(true, 2).astype(bool)
        kept = np.concatenate([[True], corners, [True]])
        true, false = true[kept], false[kept]
    true, false = np.append(0.0, true), np.append(0.0, false)
    return float(np.trapezoid(true / true[-1], false / false[-1]))


def _calibration_error(confidence: Floats, correct: NDArray[np.bool_]) -> float:
    """Return the expected calibration error over 15 equal-width bins of confidence (Guo et al. 2017, eq. 3).

    A bin covers (k/15, (k+1)/15]; its gap between accuracy and mean confidence is weighted by its examples.
    """
    bins = np.clip(np.ceil(confidence * _ECE_BINS) - 1, 0, _ECE_BINS - 1).astype(np.int64)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=_ECE_BINS)
    return float(np.abs(gaps).sum() / len(confidence))
