"""Where some classes have many more images than others: weights in the loss, or classes drawn equally often."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = ["compute_class_weights", "draw_epoch_order", "mean_loss"]

EFFECTIVE_BETA = 0.999

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _inverse(counts: Floats) -> Floats:
    return 1 / counts


def _effective(counts: Floats) -> Floats:
    """One over the effective number of images, (1 - beta^n) / (1 - beta): more than 1 / (1 - beta) add little."""
    return (1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**counts)


_SCHEMES: Mapping[str, Callable[[Floats], Floats]] = {"inverse": _inverse, "effective": _effective}


def compute_class_weights(labels: Ints, classes: int, scheme: str) -> Floats | None:
    """(C,) weights of the classes in the loss, or None for `none`; over the images of `labels` their mean is 1.

    scheme: `inverse` of the number of a class's images, or of their `effective` number (Cui et al. 2019,
    beta 0.999). A class without images weighs 0.
    """
    if scheme == "none":
        return None
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    weights = np.zeros(classes)
    weights[counts > 0] = _SCHEMES[scheme](counts[counts > 0])
    scaled: Floats = weights * counts.sum() / (weights * counts).sum()
    return scaled


def mean_loss(logits: Tensor, labels: Tensor, weights: Tensor | None, *, label_smoothing: float) -> Tensor:
    """Mean over the batch (B,) of each image's cross-entropy times its class's weight.

    Divided by B and not by the batch's sum of weights, so that a batch's loss is the mean of its parts' losses.
    """
    if weights is None:
        return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    losses = functional.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="none")
    return (losses * weights[labels]).mean()


def draw_epoch_order(rows: Ints, labels: Ints, *, sampling: str, generator: np.random.Generator) -> Ints:
    """The order in which an epoch trains on `rows`, as long as they are; `labels` covers all images.

    `none`: each row once. `balanced`: each class equally often (by one more where it does not divide), a
    large class's rows by turns over the epochs, a small one's as often as needed before any comes once more.
    """
    if sampling == "none":
        return generator.permutation(rows)
    present = generator.permutation(np.unique(labels[rows]))
    quotas = np.full(len(present), len(rows) // len(present))
    quotas[: len(rows) % len(present)] += 1
    drawn = [
        _draw(rows[labels[rows] == label], int(quota), generator) for label, quota in zip(present, quotas, strict=True)
    ]
    return generator.permutation(np.concatenate(drawn))


def _draw(rows: Ints, quota: int, generator: np.random.Generator) -> Ints:
    whole, rest = divmod(quota, len(rows))
    return np.concatenate([np.tile(rows, whole), generator.permutation(rows)[:rest]])
