"""Predictions of single images, kept compactly: the predicted class and the probability of the true class."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Predictions", "pack", "pack_labels", "unpack", "unpack_labels"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Predictions of N images: `predicted` classes (N,) and the `true_probability` of the image's own class (N,)."""

    predicted: NDArray[np.int64]
    true_probability: NDArray[np.float64]


def pack(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> str:
    """Pack class probabilities (N, C) of images with `labels` (N,) as text, about 3 bytes an image.

    Kept are the predicted class (two bytes) and the probability of the true class as IEEE half precision (two bytes),
    little-endian, one after the other, compressed by zlib, in base64.
    """
    classes = np.asarray(probabilities).argmax(axis=1).astype("<u2")
    chances = np.asarray(probabilities)[np.arange(len(labels)), labels].astype("<f2")
    return _compressed(classes.tobytes() + chances.tobytes())


def unpack(packed: str) -> Predictions:
    """Return what `pack` packed. Raises ValueError if the text is something else."""
    content = _decompressed(packed)
    if len(content) % 4:
        raise ValueError("not packed predictions")
    half = len(content) // 2
    return Predictions(
        predicted=np.frombuffer(content[:half], dtype="<u2").astype(np.int64),
        true_probability=np.frombuffer(content[half:], dtype="<f2").astype(np.float64),
    )


def pack_labels(labels: NDArray[np.integer]) -> str:
    """Pack labels (N,) of at most 65,536 classes as text."""
    return _compressed(np.asarray(labels).astype("<u2").tobytes())


def unpack_labels(packed: str) -> NDArray[np.int64]:
    """Return what `pack_labels` packed. Raises ValueError if the text is something else."""
    return np.frombuffer(_decompressed(packed), dtype="<u2").astype(np.int64)


def _compressed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 6)).decode("ascii")


def _decompressed(packed: str) -> bytes:
    try:
        return zlib.decompress(base64.b64decode(packed, validate=True))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"not packed predictions: {error}") from error
