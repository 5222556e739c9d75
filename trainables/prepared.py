"""Decoded once, mapped by every trial: the images of a sweep, their labels and their splits."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from search_spaces import DataSpec
from trainables.datasets import load_table
from trainables.errors import DataError
from trainables.image_stores import Progress, Skipped, hex_digest, store_key, write_store
from trainables.splits import SPLITS, assign_splits, check_splits
from trainables.tables import ImageTable

__all__ = ["PreparedData", "Progress", "prepare"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedData:
    """N decoded images with labels and splits, mapped read-only from `folder`.

    images: uint8 (N, H, W, 3), copied where indexed by an array; labels: int64 (N,).
    digests: uint64 (N,), of each image's pixels; digest: 32 hex digits, of everything a trial reads.
    splits: train, val, confirm, test -> int64 row numbers, sorted, possibly empty.
    skipped: (name, reason) of the images that could not be read.
    """

    folder: Path
    split_key: str
    name: str
    classes: tuple[str, ...]
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    digests: npt.NDArray[np.uint64]
    splits: dict[str, npt.NDArray[np.int64]]
    skipped: Skipped
    digest: str

    @classmethod
    def open(cls, folder: Path, split_key: str) -> PreparedData:
        """What a worker calls: maps what `prepare` wrote. Raises DataError where it is missing or damaged."""
        try:
            about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
            images = np.load(folder / "images.npy", mmap_mode="r")
            labels = np.load(folder / "labels.npy")
            digests = np.load(folder / "digests.npy")
            codes = np.load(_split_file(folder, split_key))
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"prepared data is missing or damaged: {folder} ({error}): delete it and prepare again"
            ) from None
        return cls(
            folder=folder,
            split_key=split_key,
            name=about["name"],
            classes=tuple(about["classes"]),
            images=images,
            labels=labels,
            digests=digests,
            splits={name: np.flatnonzero(codes == code) for code, name in enumerate(SPLITS)},
            skipped=tuple((name, reason) for name, reason in about["skipped"]),
            digest=hex_digest(about["classes"], str(images.shape), digests, labels, codes),
        )

    def summary(self) -> dict[str, object]:
        """JSON-able: name, digest, images, image_size, classes (split -> count), skipped (name -> reason)."""
        return {
            "name": self.name,
            "digest": self.digest,
            "images": len(self.labels),
            "image_size": int(self.images.shape[1]),
            "classes": {
                name: {split: int(np.sum(self.labels[rows] == code)) for split, rows in self.splits.items()}
                for code, name in enumerate(self.classes)
            },
            "skipped": dict(self.skipped),
        }


def prepare(data: DataSpec, *, base_dir: Path, root: Path, progress: Progress | None = None) -> PreparedData:
    """Decode the images that `data` names into `root`, or find them there, and assign the splits.

    Other splits of the same images share the decoded ones. Processes that prepare the same images wait for
    each other. progress: called with (done, total) images from the calling thread, and only while decoding.
    Raises DataError for a source that cannot be used, for more than 1 % unreadable images, for classes too
    small to split, and for a root that cannot be written.
    """
    table = load_table(data.source, base_dir=base_dir, group=data.split.group)
    _assign(table, data)  # before minutes of decoding: what cannot be split is refused at once
    folder = root / store_key(table, data.image_size)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            if not (folder / "about.json").exists():
                write_store(table, data.image_size, folder, progress)
            split_key = _write_split(_assign(_without_skipped(table, folder), data), folder)
    except OSError as error:
        raise DataError(f"cannot write prepared images below {root}: {error.strerror or error}") from error
    return PreparedData.open(folder, split_key)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _without_skipped(table: ImageTable, folder: Path) -> ImageTable:
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    skipped = {name for name, _ in about["skipped"]}
    if not skipped:
        return table
    kept = np.array([name not in skipped for name in table.names])
    return replace(
        table,
        images=[image for image, keep in zip(table.images, kept, strict=True) if keep],
        names=tuple(name for name in table.names if name not in skipped),
        labels=table.labels[kept],
        groups=None if table.groups is None else table.groups[kept],
        split=None if table.split is None else table.split[kept],
    )


def _assign(table: ImageTable, data: DataSpec) -> npt.NDArray[np.str_]:
    if table.split is not None:
        check_splits(table.split, table.labels, classes=table.classes, groups=table.groups)
        return table.split
    return assign_splits(table.labels, classes=table.classes, split=data.split, groups=table.groups, names=table.names)


def _write_split(splits: npt.NDArray[np.str_], folder: Path) -> str:
    """Store each image's position in SPLITS, uint8 (N,), under a key of the content; returns the key."""
    codes = np.array([SPLITS.index(split) for split in splits], dtype=np.uint8)
    split_key = hex_digest(codes)[:16]
    target = _split_file(folder, split_key)
    if not target.exists():
        partial = target.with_suffix(".partial")
        with partial.open("wb") as stream:
            np.save(stream, codes)
        partial.rename(target)
    return split_key


def _split_file(folder: Path, split_key: str) -> Path:
    return folder / f"split-{split_key}.npy"
