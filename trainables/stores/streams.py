"""Images that are decoded each time they are read, with the pixels that a decoded store would hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from search_spaces.backbones import Interpolation
from trainables.datasets import ImageSource, RemoteFile
from trainables.datasets.images import decode_image, quiet_decoding
from trainables.devices.threads import one_thread
from trainables.errors import DataError

__all__ = ["StreamedImages", "pixel_digest", "read_sources", "write_sources"]

_SOURCES, _PIXELS, _SHAPES = "sources.json", "originals.bin", "originals.npy"

Rows = npt.NDArray[np.integer] | slice | int


def pixel_digest(image: npt.NDArray[np.uint8]) -> int:
    """Return a 64-bit digest of a decoded image's pixels."""
    return int.from_bytes(hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=8).digest(), "little")


class StreamedImages:
    """N images that are read like an array uint8 (N, size, size, 3): `images[rows]` decodes these rows each time.

    As many threads decode as torch computes with. Each image is compared with its digest.

    Raises:
        DataError: on reading, if a file is missing, cannot be decoded, or changed since it was prepared.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self,
        sources: Sequence[ImageSource],
        digests: npt.NDArray[np.uint64],
        size: int,
        interpolation: Interpolation,
    ) -> None:
        self._sources = sources
        self._digests = digests
        self._interpolation: Interpolation = interpolation
        self.shape = (len(sources), size, size, 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Rows) -> npt.NDArray[np.uint8]:
        chosen = np.arange(len(self))[rows]
        images = np.empty((chosen.size, *self.shape[1:]), dtype=np.uint8)

        def decode_row(place: int) -> None:
            images[place] = self._decode(int(chosen.flat[place]))

        threads = min(torch.get_num_threads(), chosen.size)
        with one_thread(), quiet_decoding():
            _for_each(decode_row, range(chosen.size), threads)
        return images.reshape((*chosen.shape, *self.shape[1:]))

    def _decode(self, row: int) -> npt.NDArray[np.uint8]:
        source = self._sources[row]
        image = decode_image(source, self.shape[1], self._interpolation)
        if pixel_digest(image) != int(self._digests[row]):
            name = f"image {row}" if isinstance(source, np.ndarray) else str(source)
            raise DataError(f"{name}: changed since the images were prepared: run the sweep again")
        return image


def _for_each(work: Callable[[int], None], places: Iterable[int], threads: int) -> None:
    if threads <= 1:
        for place in places:
            work(place)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, places))


def write_sources(sources: Sequence[ImageSource], folder: Path) -> None:
    """Write the places of the images to `folder`; arrays, and files inside other files, are copied there."""
    listed = [_listed(source) for source in sources]
    (folder / _SOURCES).write_text(json.dumps(listed), encoding="utf-8")
    shapes = []
    with (folder / _PIXELS).open("wb") as stream:
        for source, place in zip(sources, listed, strict=True):
            if place is None:
                array = _array(source)
                shapes.append((*array.shape, 0, 0)[:3])
                stream.write(np.ascontiguousarray(array).data)
    np.save(folder / _SHAPES, np.array(shapes, dtype=np.int64).reshape(-1, 3))


def _array(source: ImageSource) -> npt.NDArray[np.uint8]:
    if isinstance(source, np.ndarray):
        return source
    assert not isinstance(source, Path)
    return np.frombuffer(source.read(), dtype=np.uint8)


def _listed(source: ImageSource) -> str | list[str] | None:
    if isinstance(source, RemoteFile):
        return [source.uri, source.stamp]
    return str(source.absolute()) if isinstance(source, Path) else None


def read_sources(folder: Path) -> list[ImageSource]:
    """Return what `write_sources` wrote; arrays are mapped, not read.

    Raises:
        OSError, ValueError: the files are missing or damaged.
    """
    listed = json.loads((folder / _SOURCES).read_text(encoding="utf-8"))
    arrays = iter(_arrays(folder))
    return [_source(entry) if entry is not None else next(arrays) for entry in listed]


def _source(entry: str | list[str]) -> ImageSource:
    return Path(entry) if isinstance(entry, str) else RemoteFile(uri=entry[0], stamp=entry[1])


def _arrays(folder: Path) -> list[npt.NDArray[np.uint8]]:
    shapes = [tuple(size for size in shape if size) for shape in np.load(folder / _SHAPES).tolist()]
    if not shapes:
        return []
    flat = np.memmap(folder / _PIXELS, dtype=np.uint8, mode="r")
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = zip(shapes, [0, *ends[:-1]], ends, strict=True)
    return [np.asarray(flat[start:end]).reshape(shape) for shape, start, end in parts]
