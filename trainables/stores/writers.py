"""Writers of image stores: a folder is written beside its place, renamed when complete, and named by its key."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from search_spaces.backbones import Interpolation
from trainables.datasets import ImageSource, ImageTable, RemoteFile, file_stamp
from trainables.datasets.images import quiet_decoding, read_image, resize_image
from trainables.devices.threads import one_thread
from trainables.errors import DataError
from trainables.stores.copies import THUMBNAIL, make_thumbnail
from trainables.stores.plans import StoreMode
from trainables.stores.streams import pixel_digest, write_sources

__all__ = ["THUMBNAILS", "Progress", "Skipped", "hex_digest", "store_key", "write_store"]

Progress = Callable[[int, int], None]
Skipped = tuple[tuple[str, str], ...]
Pixels = np.memmap[Any, np.dtype[np.uint8]]

THUMBNAILS = "thumbnails.npy"
"""File of the thumbnails in a store, in which copies are found; stores of earlier versions have none."""

_LAYOUT = "2"
_CHUNK = 1024
_SKIPPED_SHARE = 0.01
_SHOWN_SKIPPED = 10


def store_key(table: ImageTable, size: int, interpolation: Interpolation) -> str:
    """Return 16 hex digits over a store's inputs: files (path, size, time) or arrays, labels, and the resizing."""
    resized = str(size) if interpolation == "bilinear" else f"{size} {interpolation}"
    about = [_LAYOUT, resized, table.name, *table.classes]
    fingerprints = [_fingerprint(image) for image in table.images]
    return hex_digest(about, list(table.names), table.labels, fingerprints)[:16]


def _fingerprint(image: ImageSource) -> str:
    if isinstance(image, np.ndarray):
        return hex_digest(str(image.shape), image)
    if not isinstance(image, Path | RemoteFile):
        return image.stamp
    try:
        return file_stamp(image)
    except OSError:
        return f"{image} missing"


def write_store(
    table: ImageTable,
    size: int,
    interpolation: Interpolation,
    folder: Path,
    progress: Progress | None,
    *,
    mode: StoreMode = "decoded",
) -> None:
    """Decode the images of `table`, and write them to `folder`.

    The folder gets labels.npy, digests.npy, thumbnails.npy, about.json (name, classes, skipped, size, interpolation,
    mode) and images.npy, or in mode `streamed` the places of the images instead of images.npy. Both modes decode every
    image.
    Call it from one process at a time: what exists at `folder` or beside it is removed as the rest of a broken write.

    Raises:
        DataError: more than 1 % of the images cannot be read, or the disk has too little room.
        OSError: the folder cannot be written.
    """
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir()
    try:
        pixels = _mapped(partial / "images.npy", len(table.images), size) if mode == "decoded" else None
        digests, thumbnails, failures = _decode_all(table, size, interpolation, pixels, progress)
        skipped = _accept(failures, table)
        kept = np.array([row for row in range(len(table.images)) if row not in failures], dtype=np.int64)
        if mode == "streamed":
            write_sources([table.images[row] for row in kept], partial)
        elif failures:
            _keep_rows(partial / "images.npy", kept)
        np.save(partial / "labels.npy", table.labels[kept])
        np.save(partial / "digests.npy", digests[kept])
        np.save(partial / THUMBNAILS, thumbnails[kept])
        about = {
            "name": table.name,
            "classes": table.classes,
            "skipped": skipped,
            "size": size,
            "interpolation": interpolation,
            "mode": mode,
        }
        (partial / "about.json").write_text(json.dumps(about), encoding="utf-8")
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _mapped(target: Path, total: int, size: int) -> Pixels:
    _check_space(target.parent, total * size * size * 3)
    return np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=(total, size, size, 3))


def _decode_all(
    table: ImageTable, size: int, interpolation: Interpolation, pixels: Pixels | None, progress: Progress | None
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8], dict[int, str]]:
    """Fill `pixels` (N, size, size, 3), if given; return digests (N,), thumbnails, and the reason for each failure."""
    total = len(table.images)
    digests = np.zeros(total, dtype=np.uint64)
    thumbnails = np.zeros((total, THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    failures: dict[int, str] = {}

    def decode_row(row: int) -> str | None:
        source = table.images[row]
        try:
            whole = read_image(source)
        except DataError as error:
            return str(error).removeprefix(f"{source}: ")
        image = resize_image(whole, size, interpolation)
        thumbnails[row] = make_thumbnail(whole)
        if pixels is not None:
            pixels[row] = image
        digests[row] = pixel_digest(image)
        return None

    pool = ThreadPoolExecutor(_workers())
    try:
        with one_thread(), quiet_decoding():
            for start in range(0, total, _CHUNK):
                rows = range(start, min(start + _CHUNK, total))
                for row, failure in zip(rows, pool.map(decode_row, rows), strict=True):
                    if failure is not None:
                        failures[row] = failure
                    if progress is not None:
                        progress(row + 1, total)
    finally:
        pool.shutdown(cancel_futures=True)
    if pixels is not None:
        pixels.flush()
    return digests, thumbnails, failures


def _workers() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(16, cores)


def _accept(failures: dict[int, str], table: ImageTable) -> Skipped:
    """Return (name, reason) of the images to leave out; raise DataError if they are more than 1 % of all."""
    skipped = tuple((table.names[row], failures[row]) for row in sorted(failures))
    total = len(table.images)
    if len(skipped) <= _SKIPPED_SHARE * total:
        return skipped
    lines = [f"data.source: {len(skipped)} of {total} images cannot be read (at most 1 % are skipped):"]
    lines += [f"  {name}: {reason}" for name, reason in skipped[:_SHOWN_SKIPPED]]
    if len(skipped) > _SHOWN_SKIPPED:
        lines.append(f"  ... and {len(skipped) - _SHOWN_SKIPPED} more")
    raise DataError("\n".join(lines))


def _keep_rows(path: Path, rows: npt.NDArray[np.int64]) -> None:
    images = np.load(path, mmap_mode="r")
    compact = path.with_name("compact.npy")
    kept = np.lib.format.open_memmap(compact, mode="w+", dtype=np.uint8, shape=(len(rows), *images.shape[1:]))
    for target, row in enumerate(rows):
        kept[target] = images[row]
    kept.flush()
    compact.rename(path)


def _check_space(folder: Path, needed: int) -> None:
    """Refuse too small a disk: if a disk fills up under a memory map, SIGBUS kills the process."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"decoded images need {needed / 2**30:.1f} GiB below {folder.parent}, "
            f"{free / 2**30:.1f} GiB are free: make room or lower data.image_size"
        )


def hex_digest(*parts: str | list[str] | npt.NDArray[np.generic]) -> str:
    """Return 32 hex digits of SHA-256 over `parts`, each after its length, so that neighbours never run together."""
    digest = hashlib.sha256()
    for part in parts:
        is_array = isinstance(part, np.ndarray)
        content = np.ascontiguousarray(part).tobytes() if is_array else json.dumps(part).encode()
        digest.update(f"{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()[:32]
