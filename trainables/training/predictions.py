"""Predictions of single images, kept compactly: the predicted class, its probability and that of the true class."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Predictions", "pack", "pack_labels", "unpack", "unpack_labels"]


_WITH_CONFIDENCE = "2:"
"""Beginning of a text with the probabilities of predicted classes; older ones have no beginning of their own."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Predictions of N images: `predicted` classes (N,) and the `true_probability` of the image's own class (N,).

    confidence: probability of the predicted class (N,); None if an older version packed the predictions.
    """

    predicted: NDArray[np.int64]
    true_probability: NDArray[np.float64]
    confidence: NDArray[np.float64] | None = None


def pack(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> str:
    """Pack class probabilities (N, C) of images with `labels` (N,) as text, about 3 bytes an image.

    Kept are the predicted class (two bytes), and as IEEE half precision (two bytes each) the probability of the true
    class, and that of the predicted class, with 0 where both are the same class. All are little-endian, one after the
    other, compressed by zlib, in base64.
    """
    rows, chances = np.arange(len(labels)), np.asarray(probabilities)
    predicted = chances.argmax(axis=1)
    confidence = np.where(predicted == labels, 0, chances[rows, predicted])
    parts = (predicted.astype("<u2"), chances[rows, labels].astype("<f2"), confidence.astype("<f2"))
    return _WITH_CONFIDENCE + _compressed(b"".join(part.tobytes() for part in parts))


def unpack(packed: str) -> Predictions:
    """Return what `pack` packed, in this version or an older one. Raises ValueError if the text is something else."""
    has_confidence = packed.startswith(_WITH_CONFIDENCE)
    content = _decompressed(packed.removeprefix(_WITH_CONFIDENCE))
    parts = 3 if has_confidence else 2
    if len(content) % (2 * parts):
        raise ValueError("not packed predictions")
    images = len(content) // (2 * parts)
    true_probability = _halves(content, images, part=1)
    confidence = None
    if has_confidence:
        of_wrong = _halves(content, images, part=2)
        confidence = np.where(of_wrong > 0, of_wrong, true_probability)
    return Predictions(
        predicted=np.frombuffer(content, dtype="<u2", count=images).astype(np.int64),
        true_probability=true_probability,
        confidence=confidence,
    )


def pack_labels(labels: NDArray[np.integer]) -> str:
    """Pack labels (N,) of at most 65,536 classes as text."""
    return _compressed(np.asarray(labels).astype("<u2").tobytes())


def unpack_labels(packed: str) -> NDArray[np.int64]:
    """Return what `pack_labels` packed. Raises ValueError if the text is something else."""
    return np.frombuffer(_decompressed(packed), dtype="<u2").astype(np.int64)


def _halves(content: bytes, images: int, *, part: int) -> NDArray[np.float64]:
    return np.frombuffer(content, dtype="<f2", count=images, offset=2 * images * part).astype(np.float64)


def _compressed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 6)).decode("ascii")


def _decompressed(packed: str) -> bytes:
    try:
        return zlib.decompress(base64.b64decode(packed, validate=True))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"not packed predictions: {error}") from error
