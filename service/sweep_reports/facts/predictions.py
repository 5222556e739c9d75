"""Predictions of the chosen model on the val images: confusion of classes, the worst mistakes, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from service.ledgers import Trial
from service.sweep_reports.facts.base import Part, Section, decimals, joined, named
from service.sweep_reports.facts.rows import SweepRows
from trainables.training.predictions import Predictions, unpack, unpack_labels

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = [
    "Calibration",
    "CalibrationBin",
    "ChosenPredictions",
    "ConfusedPair",
    "Confusion",
    "Mistake",
    "Mistakes",
    "chosen_trial",
    "read_calibration",
    "read_confusion",
    "read_mistakes",
    "read_predictions",
]

SPLIT: Final = "val"
MOST_CLASSES: Final = 50
"""A matrix of more classes is left out; its most frequent confusions are listed."""
_MOST_PAIRS: Final = 20
_MOST_MISTAKES: Final = 12
_BINS: Final = 10
_FEWEST_IMAGES: Final = 20


class ConfusedPair(Part):
    """Images of a class that were taken for another."""

    label: str
    predicted: str
    images: int
    share: float
    """Part of the images of the class."""


class Confusion(Section):
    """The predicted class against the true one."""

    trial_id: str | None = None
    """The trial or retraining whose model made the predictions."""
    split: str = SPLIT
    images: int = 0
    classes: tuple[str, ...] = ()
    matrix: list[list[int]] | None = None
    """Numbers of images by true class and predicted class; null if there are more than 50 classes."""
    never_predicted: tuple[str, ...] = ()
    pairs: tuple[ConfusedPair, ...] = ()
    """The most frequent confusions."""


class Mistake(Part):
    """A val image that was taken for another class."""

    position: int
    """Place of the image in the split, from 0, in the order of the prepared images."""
    label: str
    predicted: str
    true_probability: float
    """Probability that the model gave to the true class."""


class Mistakes(Section):
    """The mistakes of which the model was most certain."""

    trial_id: str | None = None
    wrong: int = 0
    images: int = 0
    worst: tuple[Mistake, ...] = ()


class CalibrationBin(Part):
    """Images whose predicted class had a probability in a range."""

    low: float
    high: float
    images: int
    confidence: float
    """Their mean probability of the predicted class."""
    accuracy: float


class Calibration(Section):
    """The accuracy against the probability of the predicted class."""

    trial_id: str | None = None
    ece: float | None = None
    """Expected calibration error: the mean distance between both, weighted by images."""
    bins: tuple[CalibrationBin, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class ChosenPredictions:
    """Predictions of a model on N val images: true and predicted classes (N,), probability of the true class (N,).

    confidence: probability of the predicted class (N,); None if neither ledger nor home has it.
    """

    trial: Trial
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    true_probability: NDArray[np.float64]
    confidence: NDArray[np.float64] | None


def chosen_trial(rows: SweepRows) -> Trial | None:
    """Return the training whose model is to be used: the one that a confirmation names, else the best trial."""
    deployed = rows.confirmation.deployed if rows.confirmation else None
    return next((trial for trial in rows.retrainings if trial.id == deployed), rows.board.best)


def read_predictions(ledger: Ledger, rows: SweepRows) -> ChosenPredictions | None:
    """Return the stored predictions of the chosen training; None if there are none, or their labels are unknown."""
    trial = chosen_trial(rows)
    packed = None if trial is None else ledger.predictions.get(trial.id, SPLIT)
    packed_labels = ledger.predictions.labels(rows.sweep.id, SPLIT)
    if trial is None or packed is None or packed_labels is None:
        return None
    predictions, labels = unpack(packed.packed), unpack_labels(packed_labels)
    if len(labels) != len(predictions.predicted) or not len(labels):
        return None
    return ChosenPredictions(
        trial=trial,
        classes=_class_names(rows, 1 + int(max(labels.max(), predictions.predicted.max()))),
        labels=labels,
        predicted=predictions.predicted,
        true_probability=predictions.true_probability,
        confidence=_confidence(rows, trial, labels, predictions),
    )


def _class_names(rows: SweepRows, count: int) -> tuple[str, ...]:
    names = [str(name) for name in rows.sweep.data.get("classes", ())]
    return tuple(names + [f"class {index}" for index in range(len(names), count)])


def _confidence(
    rows: SweepRows, trial: Trial, labels: NDArray[np.int64], predictions: Predictions
) -> NDArray[np.float64] | None:
    """Return the probability of each predicted class.

    Older versions packed that of the true class only. It is the same for a right prediction, and one minus it between
    two classes; other wrong predictions of theirs are read from a file beside the checkpoint, if it is at hand.
    """
    if predictions.confidence is not None:
        return predictions.confidence
    predicted, true_probability = predictions.predicted, predictions.true_probability
    right = predicted == labels
    if right.all():
        return true_probability
    if len(rows.sweep.data.get("classes", ())) == 2:
        return np.where(right, true_probability, 1 - true_probability)
    if trial.checkpoint is None:
        return None
    try:
        with np.load(Path(trial.checkpoint).parent / "predictions.npz", allow_pickle=False) as file:
            probabilities = file["probabilities"].astype(np.float64)
            if not np.array_equal(file["labels"], labels):
                return None
    except (OSError, ValueError, KeyError, EOFError):
        return None
    confidence: NDArray[np.float64] = probabilities[np.arange(len(labels)), predicted]
    return confidence


def _name(chosen: ChosenPredictions) -> str:
    """Return the training as the beginning of a sentence."""
    return named(chosen.trial.id).capitalize()


def _missing(rows: SweepRows) -> str:
    if chosen_trial(rows) is None:
        return "No trial is ranked, so there is no model whose predictions could be shown."
    return "The ledger has no predictions of the chosen model: an older version trained it."


def read_confusion(rows: SweepRows, chosen: ChosenPredictions | None) -> Confusion:
    """Return the confusion matrix of the chosen model."""
    if chosen is None:
        return Confusion(sentence=_missing(rows), is_shown=False)
    count = len(chosen.classes)
    matrix = np.bincount(chosen.labels * count + chosen.predicted, minlength=count * count).reshape(count, count)
    seen = np.flatnonzero(matrix.sum(axis=1))
    never = [chosen.classes[index] for index in seen if not matrix[:, index].any()]
    pairs = _pairs(matrix, chosen.classes)
    return Confusion(
        sentence=_describe_confusion(chosen, matrix, never, pairs),
        trial_id=chosen.trial.id,
        images=len(chosen.labels),
        classes=list(chosen.classes),
        matrix=matrix.tolist() if count <= MOST_CLASSES else None,
        never_predicted=never,
        pairs=pairs,
    )


def _pairs(matrix: NDArray[np.int64], classes: tuple[str, ...]) -> list[ConfusedPair]:
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    totals = matrix.sum(axis=1)
    pairs = []
    for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True):
        images = int(wrong[row, column])
        if images:
            share = decimals(images / totals[row])
            pairs.append(ConfusedPair(label=classes[row], predicted=classes[column], images=images, share=share))
    return pairs


def _describe_confusion(
    chosen: ChosenPredictions, matrix: NDArray[np.int64], never: list[str], pairs: list[ConfusedPair]
) -> str:
    images, right = len(chosen.labels), int(np.diag(matrix).sum())
    text = f"{_name(chosen)} is right on {right} of {images} val images ({right / images:.1%})"
    if never:
        return f"{text}. It never predicts {joined(never[:5])}{' and others' * (len(never) > 5)}."
    if not pairs:
        return f"{text}."
    first = pairs[0]
    return (
        f"{text}. Its most frequent mistake: {first.label} taken for {first.predicted}, {first.images} images, "
        f"{first.share:.0%} of that class."
    )


def read_mistakes(rows: SweepRows, chosen: ChosenPredictions | None) -> Mistakes:
    """Return the wrong predictions with the lowest probability of the true class."""
    if chosen is None:
        return Mistakes(sentence=_missing(rows), is_shown=False)
    wrong = np.flatnonzero(chosen.predicted != chosen.labels)
    order = wrong[np.argsort(chosen.true_probability[wrong], kind="stable")][:_MOST_MISTAKES]
    worst = [
        Mistake(
            position=int(index),
            label=chosen.classes[chosen.labels[index]],
            predicted=chosen.classes[chosen.predicted[index]],
            true_probability=decimals(chosen.true_probability[index]),
        )
        for index in order
    ]
    images = len(chosen.labels)
    if not worst:
        sentence = f"{_name(chosen)} is right on all {images} val images."
        return Mistakes(sentence=sentence, is_shown=False, trial_id=chosen.trial.id, images=images)
    sure = int((chosen.true_probability[wrong] < 0.1).sum())
    return Mistakes(
        sentence=(
            f"{len(wrong)} of {images} val images are taken for another class; to {sure} of them the model gave their "
            "true class less than 10 %."
        ),
        trial_id=chosen.trial.id,
        wrong=len(wrong),
        images=images,
        worst=worst,
    )


def read_calibration(rows: SweepRows, chosen: ChosenPredictions | None) -> Calibration:
    """Return the reliability diagram of the chosen model (Guo et al., ICML 2017, section 2)."""
    if chosen is None:
        return Calibration(sentence=_missing(rows), is_shown=False)
    ece = _measured_ece(rows, chosen.trial)
    if chosen.confidence is None or len(chosen.labels) < _FEWEST_IMAGES:
        why = (
            f"fewer than {_FEWEST_IMAGES} val images"
            if chosen.confidence is not None
            else "the ledger keeps the probability of the true class only, and the file with those of all classes is "
            "not on this machine"
        )
        known = "" if ece is None else f" Its expected calibration error is {ece:.4f}."
        return Calibration(sentence=f"No diagram: {why}.{known}", is_shown=False, trial_id=chosen.trial.id, ece=ece)
    bins = _bins(chosen.confidence, chosen.predicted == chosen.labels)
    if ece is None:
        ece = decimals(sum(b.images * abs(b.confidence - b.accuracy) for b in bins) / len(chosen.labels))
    confidence, accuracy = float(chosen.confidence.mean()), float((chosen.predicted == chosen.labels).mean())
    return Calibration(
        sentence=_describe_calibration(confidence, accuracy, ece), trial_id=chosen.trial.id, ece=ece, bins=bins
    )


def _measured_ece(rows: SweepRows, trial: Trial) -> float | None:
    best = [row for row in rows.epochs.get(trial.id, ()) if row.epoch == trial.best_epoch]
    value = best[0].readings.get(SPLIT, {}).get("ece") if best else None
    return None if value is None or not np.isfinite(value) else decimals(value)


def _bins(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> list[CalibrationBin]:
    places = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    return [
        CalibrationBin(
            low=decimals(index / _BINS),
            high=decimals((index + 1) / _BINS),
            images=int(inside.sum()),
            confidence=decimals(confidence[inside].mean()),
            accuracy=decimals(right[inside].mean()),
        )
        for index in range(_BINS)
        if (inside := places == index).any()
    ]


def _describe_calibration(confidence: float, accuracy: float, ece: float) -> str:
    gap = round(confidence, 3) - round(accuracy, 3)  # of the shown numbers, so that a reader can check it
    if abs(gap) < 0.0095:
        verdict = "on the whole, its probabilities are about right"
    else:
        word, points = "sure" if gap > 0 else "unsure", f"{abs(gap) * 100:.1f} percentage points"
        verdict = f"on the whole it is too {word} of itself by {points}"
    return (
        f"The model's mean probability is {confidence:.1%} and its accuracy {accuracy:.1%}: {verdict} "
        f"(expected calibration error {ece:.4f})."
    )
