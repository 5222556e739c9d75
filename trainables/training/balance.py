"""The images of an epoch in batches, and help for classes with few of them: weights in the loss, or equal draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = ["compute_class_weights", "cut_batches", "draw_epoch_order", "mean_loss"]

EFFECTIVE_BETA = 0.999

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _inverse(counts: Floats) -> Floats:
    return 1 / counts


def _effective(counts: Floats) -> Floats:
    """Return one over the effective number of images, (1 - beta^n) / (1 - beta), which stays below 1 / (1 - beta)."""
    return (1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**counts)


_SCHEMES: Mapping[str, Callable[[Floats], Floats]] = {"inverse": _inverse, "effective": _effective}


def compute_class_weights(labels: Ints, classes: int, scheme: str) -> Floats | None:
    """Return the weights of the classes in the loss, (C,), or None for `none`.

    The mean weight over the images of `labels` is 1. A class without images weighs 0.

    Args:
        labels: class of each training image, (N,).
        classes: number of classes, C.
        scheme: `inverse`: one over the number of a class's images. `effective`: one over their effective number
            (Cui et al. 2019, beta 0.999).
    """
    if scheme == "none":
        return None
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    weights = np.zeros(classes)
    weights[counts > 0] = _SCHEMES[scheme](counts[counts > 0])
    scaled: Floats = weights * counts.sum() / (weights * counts).sum()
    return scaled


def mean_loss(logits: Tensor, labels: Tensor, weights: Tensor | None, *, label_smoothing: float) -> Tensor:
    """Return the mean over the batch (B,) of each image's cross-entropy times its class's weight.

    The sum is divided by B, not by the sum of weights, so that a batch's loss is the mean of its parts' losses.
    """
    if weights is None:
        return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    losses = functional.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="none")
    return (losses * weights[labels]).mean()


def draw_epoch_order(rows: Ints, labels: Ints, *, sampling: str, generator: np.random.Generator) -> Ints:
    """Draw the order in which an epoch trains on images; it is as long as `rows`.

    Args:
        rows: positions of the training images.
        labels: class of every image, not only of the training images.
        sampling: `none`: each row once. `balanced`: each class equally often, up to one. An epoch sees a random part of
            a large class; it repeats all images of a small class before it repeats one of them again.
        generator: source of the random numbers.
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


def cut_batches(order: Ints, size: int) -> list[Ints]:
    """Cut `order` into batches of `size`. A single image at the end joins the batch before it.

    BatchNorm cannot train on a single image whose feature map is a single pixel.
    """
    cuts = list(range(size, len(order), size))
    if size > 1 and cuts and len(order) - cuts[-1] == 1:
        cuts.pop()
    return np.split(order, cuts)
