from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, roc_auc_score

from trainables.training.evaluation import score


def test_two_classes_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.8, 0.2]])
    labels = np.array([0, 0, 1, 1])

    result = score(probabilities, labels)

    assert result.confusion.tolist() == [[1, 1], [1, 1]]
    assert result.metrics["loss"] == pytest.approx(-np.log([0.9, 0.4, 0.7, 0.2]).mean())
    assert result.metrics["accuracy"] == 0.5
    assert result.metrics["balanced_accuracy"] == 0.5
    assert result.metrics["macro_f1"] == pytest.approx(0.5)
    # Chances of class 1: its own 0.7 and 0.2 against 0.1 and 0.6 of class 0, three of four pairs in order.
    assert result.metrics["auroc"] == pytest.approx(3 / 4)
    # Confidences 0.9, 0.6, 0.7, 0.8 fall into four bins: gaps 0.1, 0.6, 0.3, 0.8.
    assert result.metrics["ece"] == pytest.approx((0.1 + 0.6 + 0.3 + 0.8) / 4)


def test_three_unbalanced_classes_by_hand() -> None:
    predicted = [0, 0, 0, 1, 1, 2]
    labels = np.array([0, 0, 0, 0, 1, 2])
    probabilities = np.full((6, 3), 0.1)
    probabilities[np.arange(6), predicted] = 0.8

    metrics = score(probabilities, labels).metrics

    assert metrics["accuracy"] == pytest.approx(5 / 6)
    assert metrics["balanced_accuracy"] == pytest.approx((3 / 4 + 1 + 1) / 3)
    assert metrics["macro_f1"] == pytest.approx((6 / 7 + 2 / 3 + 1) / 3)
    # Each class against the rest, with a tie as half a win: 7 of 8 pairs, 4.5 of 5, and 5 of 5.
    assert metrics["auroc"] == pytest.approx((7 / 8 + 4.5 / 5 + 5 / 5) / 3)
    assert metrics["ece"] == pytest.approx(abs(5 / 6 - 0.8))


def test_perfect_and_confident() -> None:
    metrics = score(np.eye(4), np.arange(4)).metrics
    assert metrics == {
        "loss": 0.0,
        "accuracy": 1.0,
        "balanced_accuracy": 1.0,
        "macro_f1": 1.0,
        "auroc": 1.0,
        "ece": 0.0,
    }


def test_certain_and_wrong_has_a_large_but_finite_loss() -> None:
    loss = score(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 0])).metrics["loss"]
    assert 100 < loss < math.inf


def test_calibration_bins_are_closed_above() -> None:
    # 0.6 = 9/15 belongs to the bin below it: alone with 0.59, apart from 0.61.
    probabilities = np.array([[0.6, 0.4], [0.59, 0.41], [0.61, 0.39]])
    ece = score(probabilities, np.array([0, 1, 1])).metrics["ece"]
    assert ece == pytest.approx((abs(1 - 0.6 - 0.59) + 0.61) / 3)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 0, 2]])
def test_absent_classes_count_in_no_mean_and_warn_nobody(labels: list[int]) -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.2, 0.5]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = score(probabilities, np.array(labels))
    recalls = [1 / 3] if labels == [0, 0, 0] else [1 / 2, 1]
    assert result.metrics["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert math.isnan(result.metrics["auroc"]) == (labels == [0, 0, 0])
    assert result.confusion.shape == (3, 3)
    assert result.confusion.sum() == 3


def test_probabilities_in_single_precision_are_accepted() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 10)).astype(np.float32)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert score(chances, np.arange(50) % 10).probabilities.dtype == np.float64


@pytest.mark.parametrize(
    ("probabilities", "labels", "rule"),
    [
        ([[math.nan, 0.5]], [0], "finite"),
        ([[0.7, 0.7]], [0], "sum to 1"),
        ([[1.5, -0.5]], [0], "not negative"),
        ([[0.5, 0.5]], [2], r"labels must be 0\.\.1"),
        ([[0.5, 0.5]], [0, 1], "need probabilities"),
        (np.empty((0, 2)), [], "need probabilities"),
        ([[1.0]], [0], "need probabilities"),
    ],
)
def test_what_cannot_be_scored_is_refused(probabilities: object, labels: list[int], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        score(np.array(probabilities), np.array(labels, dtype=np.int64))


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("digits", [1, 2, 17])
def test_numbers_are_those_of_scikit_learn_to_the_last_bit(classes: int, digits: int) -> None:
    """Compare on rounded probabilities, many of which are equal, and on few images, which leave classes out."""
    rng = np.random.default_rng([classes, digits])
    for count in (2, 3, 5, 20, 525):
        for _ in range(20):
            labels = rng.integers(classes, size=count)
            chances = np.round(rng.dirichlet(np.ones(classes), size=count) + np.eye(classes)[labels] * 0.3, digits)
            chances /= chances.sum(axis=1, keepdims=True)
            actual, predicted = score(chances, labels), chances.argmax(axis=1)
            assert actual.metrics["accuracy"] == accuracy_score(labels, predicted)
            assert actual.metrics["macro_f1"] == f1_score(labels, predicted, average="macro", zero_division=0.0)
            assert np.array_equal(actual.confusion, confusion_matrix(labels, predicted, labels=range(classes)))
            present = np.unique(labels)
            if len(present) > 1:
                one_against_rest = [roc_auc_score(labels == label, chances[:, label]) for label in present]
                expected = one_against_rest[-1] if classes == 2 else np.mean(one_against_rest)
                assert actual.metrics["auroc"] == expected
