"""Copies: images of a set that show the same picture, found by the digests of their pixels and by small thumbnails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from search_spaces.errors import show

__all__ = ["THUMBNAIL", "CopyFacts", "find_copies", "make_thumbnail", "perceptual_hashes"]

THUMBNAIL: Final = 32
"""Height and width of a thumbnail in pixels."""

_LOW: Final = 8
_BANDS: Final = 5
_MOST_BITS: Final = 4
_MOST_LEVELS: Final = 32.0
_SAME_PICTURE: Final = 0.99
_PRIOR_IMAGES: Final = 32
_CROWD: Final = 512
_NEIGHBOURS: Final = 64
_CHUNK: Final = 4096
_EXAMPLES: Final = 50

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class CopyFacts:
    """Counts of the copies in a set with its splits, and examples.

    Attributes:
        groups: number of groups of copies.
        images: number of images in them.
        across: number of groups with images in several splits.
        contradictory: number of groups with several labels.
        across_examples, contradictory_examples: names of two images of such a group, each with its split or label; of
            the first 50 groups.
        kept_together: whether copies were to be kept in one split, as far as the source gives no splits.
    """

    groups: int
    images: int
    across: int
    contradictory: int
    across_examples: tuple[str, ...]
    contradictory_examples: tuple[str, ...]
    kept_together: bool = False

    @classmethod
    def gather(
        cls,
        groups: Ints,
        *,
        names: Sequence[str],
        splits: Sequence[str],
        labels: Sequence[str],
        kept_together: bool = False,
    ) -> CopyFacts:
        """Count the copies. groups: (N,) of `find_copies`; names, splits, labels: those of the N images."""
        rows = np.flatnonzero(np.bincount(groups, minlength=len(groups))[groups] > 1)
        members: dict[int, list[int]] = {}
        for row in rows.tolist():
            members.setdefault(int(groups[row]), []).append(row)

        def differing(values: Sequence[str]) -> list[str]:
            examples = []
            for first, *others in members.values():
                other = next((row for row in others if values[row] != values[first]), None)
                if other is not None:
                    examples.append(
                        f"{show(names[first])} ({values[first]}) and {show(names[other])} ({values[other]})"
                    )
            return examples

        across, contradictory = differing(splits), differing(labels)
        return cls(
            groups=len(members),
            images=len(rows),
            across=len(across),
            contradictory=len(contradictory),
            across_examples=tuple(across[:_EXAMPLES]),
            contradictory_examples=tuple(contradictory[:_EXAMPLES]),
            kept_together=kept_together,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain data."""
        return {
            "groups": self.groups,
            "images": self.images,
            "across_splits": self.across,
            "kept_together": self.kept_together,
            "contradictory_labels": self.contradictory,
            "across_splits_examples": list(self.across_examples),
            "contradictory_labels_examples": list(self.contradictory_examples),
        }


def make_thumbnail(image: Image.Image) -> Bytes:
    """Return a small grey copy of an image, uint8 (THUMBNAIL, THUMBNAIL): each pixel the mean of an area.

    Images smaller than a thumbnail are enlarged bilinearly.
    """
    method = Image.Resampling.BOX if min(image.size) >= THUMBNAIL else Image.Resampling.BILINEAR
    return np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), method))


def find_copies(digests: npt.NDArray[np.uint64], thumbnails: Bytes | None) -> Ints:
    """Group the images that show the same picture.

    Equal pixels are copies. So are images whose perceptual hashes differ in at most 4 of 64 bits and whose brightness
    differs by at most 32 of 255, if their thumbnails then correlate by 0.99 or more. Correlated is what an image has
    apart from the others of its set: its thumbnail less the mean thumbnail, in units of each pixel's deviation. So
    photos of one kind of thing, such as solar cells, are not copies of each other merely since all have the same
    outline.

    In sets of very many look-alikes, hashes of one band that more than 512 images share are compared with their
    64 neighbours in order only, so that some copies can be missed.

    Args:
        digests: uint64 (N,), of the pixels.
        thumbnails: uint8 (N, THUMBNAIL, THUMBNAIL), of `make_thumbnail`; None to compare pixels only.

    Returns:
        int64 (N,), the first row of the image's group; its own row if it has no copies.
    """
    total = len(digests)
    if total == 0:
        return np.zeros(0, dtype=np.int64)
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    near = np.zeros((0, 2), dtype=np.int64) if thumbnails is None else _near_pairs(thumbnails[first])
    ends = np.concatenate([np.stack([np.arange(total), first[inverse]]), first[near.T]], axis=1)
    graph = coo_array((np.ones(ends.shape[1], dtype=bool), tuple(ends)), shape=(total, total))
    _, component = connected_components(graph, directed=False)
    _, lowest, group = np.unique(component, return_index=True, return_inverse=True)
    return lowest[group].astype(np.int64)


def perceptual_hashes(thumbnails: Bytes) -> npt.NDArray[np.uint64]:
    """Return a hash of 64 bits for each thumbnail, which changes little if the image is compressed or resized.

    The bits tell which of the 8 x 8 lowest frequencies of the cosine transform lie above their median (pHash: Zauner
    2010, Implementation and Benchmarking of Perceptual Image Hash Functions, section 3.2.1).
    """
    transform = _cosines()
    hashes = np.zeros(len(thumbnails), dtype=np.uint64)
    for start in range(0, len(thumbnails), _CHUNK):
        chunk = thumbnails[start : start + _CHUNK].astype(np.float32)
        low = (transform @ chunk @ transform.T).reshape(len(chunk), _LOW * _LOW)
        bits = low > np.median(low[:, 1:], axis=1, keepdims=True)
        hashes[start : start + _CHUNK] = np.packbits(bits, axis=1).view(">u8")[:, 0]
    return hashes


def _cosines() -> Floats:
    """Return the lowest rows of the orthonormal cosine transform (DCT-II), (8, THUMBNAIL)."""
    frequency, place = np.arange(_LOW)[:, None], np.arange(THUMBNAIL)[None]
    rows = np.cos(np.pi * (2 * place + 1) * frequency / (2 * THUMBNAIL)) * np.sqrt(2 / THUMBNAIL)
    rows[0] /= np.sqrt(2)
    transform: Floats = rows.astype(np.float32)
    return transform


def _near_pairs(thumbnails: Bytes) -> Ints:
    """Return the pairs (P, 2) of thumbnails that show the same picture."""
    hashes, brightness = perceptual_hashes(thumbnails), thumbnails.mean(axis=(1, 2))
    standardize = _Standardizer.fit(thumbnails)
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for candidates in _candidates(hashes):
        differing = np.bitwise_count(hashes[candidates[:, 0]] ^ hashes[candidates[:, 1]])
        fainter = np.abs(brightness[candidates[:, 0]] - brightness[candidates[:, 1]])
        close = candidates[(differing <= _MOST_BITS) & (fainter <= _MOST_LEVELS)]
        for start in range(0, len(close), _CHUNK):
            left, right = close[start : start + _CHUNK].T
            correlations = np.sum(standardize(thumbnails[left]) * standardize(thumbnails[right]), axis=1)
            pairs.append(close[start : start + _CHUNK][correlations >= _SAME_PICTURE])
    return np.unique(np.concatenate(pairs), axis=0)


def _candidates(hashes: npt.NDArray[np.uint64]) -> Iterator[Ints]:
    """Yield pairs of rows, (P, 2), that agree in one band of bits.

    Of two hashes that differ in at most 4 bits, one of 5 bands is equal (pigeonhole).
    """
    edges = np.linspace(0, 64, _BANDS + 1).astype(np.uint64)
    for low, high in pairwise(edges):
        mask = np.uint64((1 << int(high - low)) - 1)
        band = (hashes >> low) & mask
        order = np.lexsort((hashes, band))
        same = np.flatnonzero(np.diff(band[order])) + 1
        for rows in np.split(order, same):
            if len(rows) > 1:
                yield _pairs(rows.astype(np.int64))


def _pairs(rows: Ints) -> Ints:
    if len(rows) <= _CROWD:
        left, right = np.triu_indices(len(rows), 1)
        return np.sort(np.stack([rows[left], rows[right]], axis=1), axis=1)
    steps = [np.stack([rows[:-step], rows[step:]], axis=1) for step in range(1, _NEIGHBOURS + 1)]
    return np.sort(np.concatenate(steps), axis=1)


@dataclass(frozen=True)
class _Standardizer:
    """Thumbnails as unit vectors of what they have apart from the mean, (N, THUMBNAIL * THUMBNAIL)."""

    mean: Floats
    deviation: Floats

    @classmethod
    def fit(cls, thumbnails: Bytes) -> _Standardizer:
        """Measure mean and deviation of each pixel; of few images, they are drawn towards those of any picture."""
        count, pixels = len(thumbnails), THUMBNAIL * THUMBNAIL
        total, squares = np.zeros(pixels), np.zeros(pixels)
        for start in range(0, count, _CHUNK):
            centred = cls._centre(thumbnails[start : start + _CHUNK])
            total += centred.sum(axis=0)
            squares += (centred.astype(np.float64) ** 2).sum(axis=0)
        overall = squares.mean() / count
        mean = total / (count + _PRIOR_IMAGES)
        variance = (squares - count * mean**2 + _PRIOR_IMAGES * overall) / (count + _PRIOR_IMAGES)
        return cls(mean.astype(np.float32), (np.sqrt(variance) + 1.0).astype(np.float32))

    @staticmethod
    def _centre(thumbnails: Bytes) -> Floats:
        flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
        centred: Floats = flat - flat.mean(axis=1, keepdims=True)
        return centred

    def __call__(self, thumbnails: Bytes) -> Floats:
        """Return the unit vectors."""
        apart = (self._centre(thumbnails) - self.mean) / self.deviation
        unit: Floats = apart / (np.linalg.norm(apart, axis=1, keepdims=True) + 1e-6)
        return unit
