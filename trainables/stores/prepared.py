"""Prepared data of a sweep: images decoded once and mapped by every trial, their labels and their splits."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import __version__ as pillow_version

from search_spaces import DataSpec
from search_spaces.backbones import Interpolation
from search_spaces.documents import format_size
from trainables.datasets import SPLITS, ImageTable, assign_splits, check_splits
from trainables.datasets.sources import load_table
from trainables.datasets.torchvision_sets import TORCHVISION_PREFIX
from trainables.errors import DataError
from trainables.stores.copies import CopyFacts, find_copies
from trainables.stores.locks import FolderLock, lock_for_writing
from trainables.stores.plans import Capacity, StoreMode, StorePlan, plan_store
from trainables.stores.streams import StreamedImages, read_sources
from trainables.stores.unpacked import KeptFiles
from trainables.stores.writers import THUMBNAILS, Progress, Skipped, hex_digest, store_key, write_store

__all__ = [
    "DataSurvey",
    "PreparedData",
    "Progress",
    "find_prepared",
    "prepare_data",
    "prepare_for_backbones",
    "read_table",
    "summarize_data",
    "survey_data",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedData:
    """N images with labels and splits, mapped read-only from `folder`, or streamed, that is decoded at each reading.

    Attributes:
        folder: the store's folder.
        split_key: names the file of the splits in `folder`.
        name: name of the data set.
        classes: class names; a label is a position in them.
        images: uint8 (N, H, W, 3); an index array gives a copy in both modes.
        labels: int64 (N,).
        digests: uint64 (N,), one digest of the pixels of each image.
        splits: train, val, confirm, test -> int64 row numbers, sorted, possibly empty.
        skipped: (name, reason) of the images that could not be read.
        interpolation: the interpolation that resized the images.
        digest: 32 hex digits over everything that a trial reads.
        lock: keeps `cache prune` from removing the folder while this object is in use.
        copies: facts about images that show the same picture; None if they are not known.
    """

    folder: Path
    split_key: str
    name: str
    classes: tuple[str, ...]
    images: npt.NDArray[np.uint8] | StreamedImages
    labels: npt.NDArray[np.int64]
    digests: npt.NDArray[np.uint64]
    splits: dict[str, npt.NDArray[np.int64]]
    skipped: Skipped
    interpolation: Interpolation
    digest: str
    lock: FolderLock
    copies: CopyFacts | None = None

    @classmethod
    def open(cls, folder: Path, split_key: str) -> PreparedData:
        """Map what `prepare_data` wrote, as each worker does.

        Raises:
            DataError: the folder is missing or damaged.
        """
        try:
            lock = FolderLock(folder)
            about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
            labels = np.load(folder / "labels.npy")
            digests = np.load(folder / "digests.npy")
            images = _open_images(folder, about, digests)
            codes = np.load(_split_file(folder, split_key))
        except (OSError, ValueError, EOFError, KeyError) as error:
            raise DataError(
                f"prepared data is missing or damaged: {folder} ({error}): delete it and run again"
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
            interpolation=_interpolation(about),
            digest=hex_digest(about["classes"], str(images.shape), digests, labels, codes),
            lock=lock,
        )

    @property
    def mode(self) -> StoreMode:
        """`decoded` if the decoded images are kept, `streamed` if they are decoded at each reading."""
        return "streamed" if isinstance(self.images, StreamedImages) else "decoded"

    def summary(self) -> dict[str, object]:
        """Return a dict for JSON.

        Its keys are name, digest, images, image_size, interpolation, mode, classes, skipped, copies and resized.
        `classes` is class -> split -> number of images. `resized` is interpolation -> `digests_by_split` and the digest
        of the whole.
        """
        return {
            "name": self.name,
            "digest": self.digest,
            "images": len(self.labels),
            "image_size": int(self.images.shape[1]),
            "interpolation": self.interpolation,
            "mode": self.mode,
            "classes": {
                name: {split: int(np.sum(self.labels[rows] == code)) for split, rows in self.splits.items()}
                for code, name in enumerate(self.classes)
            },
            "skipped": dict(self.skipped),
            "copies": None if self.copies is None else self.copies.as_json(),
            "resized": {self.interpolation: {"digest": self.digest, "splits": self.digests_by_split()}},
        }

    def parts(self) -> dict[str, str | int]:
        """Return what `digest` covers, part by part, so that two sets can be compared, and the decoder's version."""
        codes = np.zeros(len(self.labels), dtype=np.uint8)
        for code, name in enumerate(SPLITS):
            codes[self.splits[name]] = code
        return {
            "images": len(self.labels),
            "image_size": int(self.images.shape[1]),
            "classes": len(self.classes),
            "names": hex_digest(list(self.classes)),
            "pixels": hex_digest(self.digests),
            "labels": hex_digest(self.labels),
            "splits": hex_digest(codes),
            "decoder": f"Pillow {pillow_version}",
        }

    def digests_by_split(self) -> dict[str, dict[str, object]]:
        """Return for each split the number of its images, and 32 hex digits over their pixels and labels in order."""
        return {
            split: {
                "images": len(rows),
                "digest": hex_digest(list(self.classes), self.digests[rows], self.labels[rows]),
            }
            for split, rows in self.splits.items()
        }


def prepare_data(data: DataSpec, *, base_dir: Path, root: Path, progress: Progress | None = None) -> PreparedData:
    """Decode the images that `data` names into `root`, or find them there, and assign the splits.

    Images that would take more than `data.disk` or `data.memory` are decoded once to be checked, and again at each
    reading; training is the same. Other splits of the same images share the prepared images. Processes that prepare
    the same images wait for each other.

    Args:
        data: the data of a sweep. With interpolation `auto`, images are resized bilinearly; `prepare_for_backbones`
            asks each backbone instead.
        base_dir: folder at which relative paths start.
        root: folder of all prepared images. torchvision's files go to `root`/torchvision/NAME, unless `data.root`
            names a folder.
        progress: called with (done, total) images, from the calling thread, and only while images are decoded.

    Raises:
        DataError: the source cannot be used, more than 1 % of the images cannot be read, a class is too small to be
            split, or `root` cannot be written.
        OwnCodeError: own code cannot be used.
    """
    table = read_table(data, base_dir=base_dir, root=root)
    (prepared,) = _prepare_each(table, data, _interpolations(data), root=root, progress=progress).values()
    return prepared


def find_prepared(root: Path, digest: str) -> PreparedData | None:
    """Return the images with this digest below `root`; None if they are not prepared there.

    Raises:
        DataError: they are damaged.
    """
    for path in root.glob(f"*/{_digest_file(digest)}"):
        if (path.parent / "about.json").exists() and path.parent.suffix != ".partial" and path.parent.name[0] != ".":
            prepared = PreparedData.open(path.parent, path.read_text(encoding="ascii"))
            with suppress(OSError):
                (path.parent / "about.json").touch()  # its time tells `cache prune` when the store was last used
            return prepared
    return None


def read_table(data: DataSpec, *, base_dir: Path, root: Path) -> ImageTable:
    """Return the images that `data` names, undecoded.

    Raises:
        DataError: `prepare_data` would refuse them before it decodes them.
        OwnCodeError: own code cannot be used.
    """
    table = _load(data, base_dir=base_dir, root=root)
    _assign(table, data)
    return table


def prepare_for_backbones(
    table: ImageTable, data: DataSpec, backbones: Iterable[str], *, root: Path, progress: Progress | None = None
) -> dict[str, PreparedData]:
    """Prepare the images of `read_table` as `prepare_data` does, resized as each of `backbones` wants them.

    Backbones with the same interpolation share one store; all stores have the same splits. `progress` starts at 0 for
    each store.

    Returns:
        backbone -> its prepared data.
    """
    wanted = {backbone: data.resized_for(backbone).interpolation for backbone in backbones}
    stores = _prepare_each(table, data, _interpolations(data, wanted), root=root, progress=progress)
    return {backbone: stores[interpolation] for backbone, interpolation in wanted.items() if interpolation != "auto"}


def summarize_data(prepared: Iterable[PreparedData]) -> dict[str, object]:
    """Return one summary of the same images, resized with one interpolation or with several."""
    stores = {each.interpolation: each for each in prepared}
    first, *others = stores.values()
    if not others:
        return first.summary()
    digest = hex_digest([each.digest for each in stores.values()])
    resized = {name: {"digest": each.digest, "splits": each.digests_by_split()} for name, each in stores.items()}
    return first.summary() | {"digest": digest, "interpolation": ", ".join(stores), "resized": resized}


def _interpolations(data: DataSpec, backbones: Iterable[str] = ()) -> tuple[Interpolation, ...]:
    """Return each interpolation that `data` or one of `backbones` wants, once; by default bilinear."""
    wanted = [data.interpolation, *(data.resized_for(backbone).interpolation for backbone in backbones)]
    distinct = sorted({interpolation for interpolation in wanted if interpolation != "auto"})
    return tuple(distinct) or ("bilinear",)


def _prepare_each(
    table: ImageTable, data: DataSpec, interpolations: Sequence[Interpolation], *, root: Path, progress: Progress | None
) -> dict[Interpolation, PreparedData]:
    downloads = _downloads(data, root)
    with FolderLock(downloads) if downloads is not None and downloads.exists() else nullcontext():
        return _write_each(table, data, interpolations, root, progress)


def _write_each(
    table: ImageTable, data: DataSpec, interpolations: Sequence[Interpolation], root: Path, progress: Progress | None
) -> dict[Interpolation, PreparedData]:
    stores = {
        interpolation: root / store_key(table, data.image_size, interpolation) for interpolation in interpolations
    }
    mode = _plan(table, data, list(stores.values())).mode
    prepared = {}
    copies: npt.NDArray[np.int64] | None = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        for interpolation, decoded in stores.items():
            folder = _folder(decoded, mode)
            with lock_for_writing(folder):
                if not (folder / "about.json").exists():
                    write_store(table, data.image_size, interpolation, folder, progress, mode=mode)
                readable = _without_skipped(table, folder)
                copies = _find_copies(folder) if copies is None else copies  # the same in every store
                together = data.split.copies == "together"
                splits = _assign(readable, data, copies if together else None)
                split_key = _write_split(splits, folder)
                (folder / "about.json").touch()  # its time tells `cache prune` when the store was last used
                opened = PreparedData.open(folder, split_key)
                _note_digest(opened)
                prepared[interpolation] = replace(opened, copies=_count_copies(copies, readable, splits, together))
    except OSError as error:
        raise DataError(f"cannot write prepared images below {root}: {_why_not_written(error, root)}") from error
    return prepared


def _why_not_written(error: OSError, root: Path) -> str:
    """Return the reason of an error in words, with the way out if the disk is full; NumPy gives only numbers then."""
    if error.strerror and error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return error.strerror
    free = format_size(Capacity.measure(root).free_disk)
    return f"a file could not be written whole, {free} are free on the disk; make room, or choose another home"


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSurvey:
    """A forecast of what `prepare_data` does, made before anything is decoded.

    Attributes:
        table: the images, undecoded.
        counts: class -> split -> number of images.
        plan: the choice between keeping and streaming.
        prepared: True if the images are prepared already.
    """

    table: ImageTable
    counts: dict[str, dict[str, int]]
    plan: StorePlan
    prepared: bool

    def images(self, split: str) -> int:
        """Return the number of images of all classes in a split."""
        return sum(by_split[split] for by_split in self.counts.values())


def survey_data(data: DataSpec, backbones: Iterable[str] = (), *, base_dir: Path, root: Path) -> DataSurvey:
    """List the images and split them, as `prepare_data` or, given `backbones`, `prepare_for_backbones` would.

    Images that cannot be read go unnoticed, since nothing is decoded. Missing files of torchvision are downloaded.

    Raises:
        DataError: the source cannot be used, or a class is too small to be split.
        OwnCodeError: own code cannot be used.
    """
    table = _load(data, base_dir=base_dir, root=root)
    splits = _assign(table, data)
    stores = [root / store_key(table, data.image_size, wanted) for wanted in _interpolations(data, backbones)]
    plan = _plan(table, data, stores)
    counts = {
        name: {split: int(np.sum((table.labels == code) & (splits == split))) for split in SPLITS}
        for code, name in enumerate(table.classes)
    }
    prepared = all((_folder(store, plan.mode) / "about.json").exists() for store in stores)
    return DataSurvey(table=table, counts=counts, plan=plan, prepared=prepared)


def _folder(decoded: Path, mode: StoreMode) -> Path:
    return decoded if mode == "decoded" else decoded.with_name(f"{decoded.name}-streamed")


def _load(data: DataSpec, *, base_dir: Path, root: Path) -> ImageTable:
    downloads = _downloads(data, root)
    table = load_table(
        data.source,
        base_dir=base_dir,
        group=data.split.group,
        root=data.root,
        downloads=downloads,
        unpacked=KeptFiles(root / "archives"),
        layout=data.layout,
        columns=data.columns,
    )
    if downloads is not None and downloads.exists():
        downloads.touch()  # its time tells `cache prune` when the set was last used
    return table


def _downloads(data: DataSpec, root: Path) -> Path | None:
    """Return the folder for a torchvision data set without `data.root`; None for other sources."""
    if data.root is not None or not data.source.startswith(TORCHVISION_PREFIX):
        return None
    return root / "torchvision" / data.source.removeprefix(TORCHVISION_PREFIX)


def _plan(table: ImageTable, data: DataSpec, decoded: Sequence[Path]) -> StorePlan:
    """Plan the stores; a folder among `decoded` that exists needs no more disk."""
    capacity = Capacity.measure(decoded[0].parent)
    taken = sum((store / "images.npy").stat().st_size for store in decoded if (store / "about.json").exists())
    return plan_store(
        images=len(table.images),
        image_size=data.image_size,
        # Half of the free disk may be used, so twice the size of what exists makes room for it.
        capacity=replace(capacity, free_disk=capacity.free_disk + 2 * taken),
        disk=data.disk,
        memory=data.memory,
        resizings=len(decoded),
    )


def _open_images(
    folder: Path, about: dict[str, Any], digests: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint8] | StreamedImages:
    if about["mode"] == "streamed":
        return StreamedImages(read_sources(folder), digests, about["size"], _interpolation(about))
    mapped: npt.NDArray[np.uint8] = np.load(folder / "images.npy", mmap_mode="r")
    return mapped


def _interpolation(about: dict[str, Any]) -> Interpolation:
    """Return the store's interpolation; old stores do not name it, and are bilinear."""
    interpolation: Interpolation = about.get("interpolation", "bilinear")
    return interpolation


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


def _assign(table: ImageTable, data: DataSpec, copies: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.str_]:
    """Return (N,) of SPLITS: the source's own split if it names one, else `data.split` among the splits it left out.

    copies: (N,), groups of copies to keep together, if wanted.
    """
    named = np.full(len(table.labels), "") if table.split is None else table.split
    undecided = np.flatnonzero(named == "")
    splits = named.astype("<U7")
    if len(undecided):
        fixed = {name: 0.0 for name in ("val", "confirm", "test") if np.any(named == name)}
        splits[undecided] = assign_splits(
            table.labels[undecided],
            classes=table.classes,
            split=data.split.model_copy(update=fixed),
            groups=None if table.groups is None else table.groups[undecided],
            names=[table.names[row] for row in undecided],
            copies=None if copies is None else _among(copies, undecided),
        )
    if table.split is not None:
        check_splits(splits, table.labels, classes=table.classes, groups=table.groups)
    return splits


def _among(copies: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the groups of copies among `rows` only, (len(rows),), each as the place of its first row in `rows`."""
    _, first, inverse = np.unique(copies[rows], return_index=True, return_inverse=True)
    among: npt.NDArray[np.int64] = first[inverse].astype(np.int64)
    return among


def _find_copies(folder: Path) -> npt.NDArray[np.int64]:
    """Return the groups of copies in a store, (N,), found once and kept.

    Stores of earlier versions have no thumbnails, so that only equal pixels are copies.
    """
    kept = folder / "copies.npy"
    if kept.exists():
        groups: npt.NDArray[np.int64] = np.load(kept)
        return groups
    digests, thumbnails = np.load(folder / "digests.npy"), folder / THUMBNAILS
    groups = find_copies(digests, np.load(thumbnails) if thumbnails.exists() else None)
    _save(groups, kept)
    return groups


def _count_copies(
    copies: npt.NDArray[np.int64], table: ImageTable, splits: npt.NDArray[np.str_], together: bool
) -> CopyFacts:
    labels = [table.classes[label] for label in table.labels.tolist()]
    return CopyFacts.gather(copies, names=table.names, splits=splits.tolist(), labels=labels, kept_together=together)


def _write_split(splits: npt.NDArray[np.str_], folder: Path) -> str:
    """Store each image's position in SPLITS as uint8 (N,) under a key of the content; return the key."""
    codes = np.array([SPLITS.index(split) for split in splits], dtype=np.uint8)
    split_key = hex_digest(codes)[:16]
    target = _split_file(folder, split_key)
    if not target.exists():
        _save(codes, target)
    return split_key


def _save(array: npt.NDArray[np.generic], target: Path) -> None:
    """Write an array beside its place, and rename it once it is whole."""
    partial = target.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.save(stream, array)
    partial.rename(target)


def _split_file(folder: Path, split_key: str) -> Path:
    return folder / f"split-{split_key}.npy"


def _note_digest(prepared: PreparedData) -> None:
    """Write a file to the store by which `find_prepared` finds these images."""
    target = prepared.folder / _digest_file(prepared.digest)
    if not target.exists():
        partial = target.with_suffix(".partial")
        partial.write_text(prepared.split_key, encoding="ascii")
        partial.rename(target)


def _digest_file(digest: str) -> str:
    """Return the name of a store's file that holds the key of the split by which its images have this digest."""
    return f"digest-{digest}"
