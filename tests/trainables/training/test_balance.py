from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from trainables.training.balance import compute_class_weights, draw_epoch_order, mean_loss
from trainables.training.evaluation import score

LABELS = np.repeat([0, 1, 2], [80, 16, 4])


def test_inverse_weights_give_every_class_the_same_say() -> None:
    weights = compute_class_weights(LABELS, 3, "inverse")

    assert weights is not None
    assert (weights * [80, 16, 4]).tolist() == pytest.approx([100 / 3] * 3)
    assert weights[LABELS].mean() == pytest.approx(1)


def test_effective_numbers_level_off() -> None:
    # Cui et al. 2019, equation 3: (1 - 0.999^n) / 0.001 images, 632 of 999 and 1000 of many.
    labels = np.repeat([0, 1], [100_000, 1000])
    weights = compute_class_weights(labels, 2, "effective")

    assert weights is not None
    assert weights[1] / weights[0] == pytest.approx(1000 / 632.3, rel=1e-3)
    assert weights[labels].mean() == pytest.approx(1)


def test_a_class_that_does_not_occur_weighs_nothing() -> None:
    weights = compute_class_weights(LABELS, 4, "inverse")
    assert weights is not None
    assert weights[3] == 0
    assert compute_class_weights(LABELS, 3, "none") is None


def test_a_weighted_loss_is_the_mean_of_its_parts() -> None:
    logits, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 0, 1, 2, 1, 0])
    weights = torch.tensor([0.5, 1.0, 3.0])
    whole = mean_loss(logits, labels, weights, label_smoothing=0.1)
    parts = [mean_loss(logits[i : i + 2], labels[i : i + 2], weights, label_smoothing=0.1) for i in (0, 2, 4)]

    assert float(whole) == pytest.approx(float(sum(parts)) / 3)
    assert torch.equal(
        mean_loss(logits, labels, None, label_smoothing=0.1),
        functional.cross_entropy(logits, labels, label_smoothing=0.1),
    )


def test_a_smoothed_target_is_weighed_by_the_class_of_its_image() -> None:
    """Compare with the formula in docs/vocabulary.md, and with torch's own loss where the two agree."""
    logits, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 0, 1, 2, 1, 0])
    weights, smoothing = torch.tensor([0.5, 1.0, 3.0]), 0.1
    target = (1 - smoothing) * functional.one_hot(labels, 3) + smoothing / 3
    expected = (-(target * logits.log_softmax(1)).sum(1) * weights[labels]).mean()
    assert float(mean_loss(logits, labels, weights, label_smoothing=smoothing)) == pytest.approx(float(expected))
    ours = mean_loss(logits, labels, weights, label_smoothing=0.0)
    theirs = functional.cross_entropy(logits, labels, weights) * weights[labels].sum() / 6
    assert float(ours) == pytest.approx(float(theirs))


def test_balanced_epochs_show_each_class_equally_often() -> None:
    rows = np.arange(50, 150)
    labels = np.concatenate([np.zeros(50, np.int64), LABELS])
    order = draw_epoch_order(rows, labels, sampling="balanced", generator=np.random.default_rng(0))

    assert len(order) == 100
    assert sorted(np.bincount(labels[order]).tolist()) == [33, 33, 34]
    shown = np.bincount(order, minlength=150)
    assert shown[:50].max() == 0
    assert shown[50:130].max() == 1
    assert set(shown[146:]) <= {8, 9}
    again = draw_epoch_order(rows, labels, sampling="balanced", generator=np.random.default_rng(0))
    other = draw_epoch_order(rows, labels, sampling="balanced", generator=np.random.default_rng(1))
    assert np.array_equal(order, again)
    assert not np.array_equal(np.sort(order), np.sort(other))


def test_recall_by_class_shows_who_is_overlooked() -> None:
    chances = np.eye(4)[[0, 0, 0, 0, 1]] * 0.7 + 0.075
    result = score(chances, np.array([0, 0, 0, 1, 1]))

    assert result.recalls[:2].tolist() == [1.0, 0.5]
    assert np.isnan(result.recalls[2:]).all()
