"""Decoded once, mapped by every trial: the images of a sweep, their labels and their splits."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from search_spaces import DataSpec
from search_spaces.backbones import Interpolation
from trainables.datasets import SPLITS, ImageTable, assign_splits, check_splits
from trainables.datasets.sources import load_table
from trainables.datasets.torchvision_sets import TORCHVISION_PREFIX
from trainables.errors import DataError
from trainables.stores.locks import FolderLock
from trainables.stores.plans import Capacity, StoreMode, StorePlan, plan_store
from trainables.stores.streams import StreamedImages, read_sources
from trainables.stores.writers import Progress, Skipped, hex_digest, store_key, write_store

__all__ = [
    "DataSurvey",
    "PreparedData",
    "Progress",
    "prepare_data",
    "prepare_for_backbones",
    "read_table",
    "summarize_data",
    "survey_data",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedData:
    """N images with labels and splits, mapped read-only from `folder`, or streamed: decoded where they are read.

    images: uint8 (N, H, W, 3), copied where indexed by an array, in both modes; labels: int64 (N,).
    digests: uint64 (N,), of each image's pixels; digest: 32 hex digits, of everything a trial reads.
    splits: train, val, confirm, test -> int64 row numbers, sorted, possibly empty.
    interpolation: how the images were resized.
    skipped: (name, reason) of the images that could not be read.
    hold: keeps `cache prune` from removing the folder while this is in use.
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
    hold: FolderLock

    @classmethod
    def open(cls, folder: Path, split_key: str) -> PreparedData:
        """What a worker calls: maps what `prepare_data` wrote. Raises DataError where it is missing or damaged."""
        try:
            hold = FolderLock(folder)
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
            hold=hold,
        )

    @property
    def mode(self) -> StoreMode:
        """Whether decoded images are kept, or made anew at each reading."""
        return "streamed" if isinstance(self.images, StreamedImages) else "decoded"

    def summary(self) -> dict[str, object]:
        """JSON-able: name, digest, images, image_size, interpolation, mode, classes (split -> count), skipped."""
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
        }


def prepare_data(data: DataSpec, *, base_dir: Path, root: Path, progress: Progress | None = None) -> PreparedData:
    """Decode the images that `data` names into `root`, or find them there, and assign the splits.

    Where data.interpolation is auto they are resized bilinearly: `prepare_for_backbones` knows what backbones want.
    Images that would take more than data.disk or data.memory are only decoded to be checked, and again at each
    reading; what is trained on is the same. Other splits of the same images share the prepared ones. Processes
    that prepare the same images wait for each other. progress: called with (done, total) images from the calling
    thread, and only while decoding. torchvision's files go to `root`/torchvision/NAME unless data.root names a folder.
    Raises DataError for a source that cannot be used, for more than 1 % unreadable images, for classes too
    small to split, and for a root that cannot be written; OwnCodeError for own code that cannot be used.
    """
    table = read_table(data, base_dir=base_dir, root=root)
    (prepared,) = _prepare_each(table, data, _ways(data), root=root, progress=progress).values()
    return prepared


def read_table(data: DataSpec, *, base_dir: Path, root: Path) -> ImageTable:
    """The images that `data` names, as `prepare_data` would find them: refused where it would refuse them undecoded."""
    table = _load(data, base_dir=base_dir, root=root)
    _assign(table, data)
    return table


def prepare_for_backbones(
    table: ImageTable, data: DataSpec, backbones: Iterable[str], *, root: Path, progress: Progress | None = None
) -> dict[str, PreparedData]:
    """As `prepare_data`, for each of `backbones` by its name: the images of `read_table`, resized as it wants them.

    Those that want the same share one store; splits are the same in all. progress: starts anew for each store.
    """
    wanted = {backbone: data.resized_for(backbone).interpolation for backbone in backbones}
    stores = _prepare_each(table, data, _ways(data, wanted), root=root, progress=progress)
    return {backbone: stores[way] for backbone, way in wanted.items() if way != "auto"}


def summarize_data(prepared: Iterable[PreparedData]) -> dict[str, object]:
    """One summary of the same images, resized in one way or in several."""
    stores = {each.interpolation: each for each in prepared}
    first, *others = stores.values()
    if not others:
        return first.summary()
    digest = hex_digest([each.digest for each in stores.values()])
    return first.summary() | {"digest": digest, "interpolation": ", ".join(stores)}


def _ways(data: DataSpec, backbones: Iterable[str] = ()) -> tuple[Interpolation, ...]:
    """How `backbones` want the images resized, each way once; bilinear where nothing else is asked for."""
    asked = [data.interpolation, *(data.resized_for(backbone).interpolation for backbone in backbones)]
    ways = sorted({way for way in asked if way != "auto"})
    return tuple(ways) or ("bilinear",)


def _prepare_each(
    table: ImageTable, data: DataSpec, ways: Sequence[Interpolation], *, root: Path, progress: Progress | None
) -> dict[Interpolation, PreparedData]:
    downloads = _downloads(data, root)
    with FolderLock(downloads) if downloads is not None and downloads.exists() else nullcontext():
        return _write_each(table, data, ways, root, progress)


def _write_each(
    table: ImageTable, data: DataSpec, ways: Sequence[Interpolation], root: Path, progress: Progress | None
) -> dict[Interpolation, PreparedData]:
    stores = {way: root / store_key(table, data.image_size, way) for way in ways}
    mode = _plan(table, data, list(stores.values())).mode
    prepared = {}
    try:
        root.mkdir(parents=True, exist_ok=True)
        for way, decoded in stores.items():
            folder = _folder(decoded, mode)
            with _locked(folder.with_suffix(".lock")):
                if not (folder / "about.json").exists():
                    write_store(table, data.image_size, way, folder, progress, mode=mode)
                split_key = _write_split(_assign(_without_skipped(table, folder), data), folder)
                (folder / "about.json").touch()  # its time says when the store was last used
                prepared[way] = PreparedData.open(folder, split_key)
    except OSError as error:
        raise DataError(f"cannot write prepared images below {root}: {error.strerror or error}") from error
    return prepared


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSurvey:
    """What `prepare_data` would do with the same arguments, before anything is decoded.

    counts: class -> split -> images. prepared: whether that was done before, and is found rather than done again.
    """

    table: ImageTable
    counts: dict[str, dict[str, int]]
    plan: StorePlan
    prepared: bool

    def images(self, split: str) -> int:
        """How many images of all classes a split has."""
        return sum(of[split] for of in self.counts.values())


def survey_data(data: DataSpec, backbones: Iterable[str] = (), *, base_dir: Path, root: Path) -> DataSurvey:
    """List the images and split them, as `prepare_data`, or with `backbones` `prepare_for_backbones`, would.

    Raises DataError and OwnCodeError where that does.

    Images that cannot be read are only found by decoding them. torchvision's files are downloaded where missing.
    """
    table = _load(data, base_dir=base_dir, root=root)
    splits = _assign(table, data)
    stores = [root / store_key(table, data.image_size, way) for way in _ways(data, backbones)]
    plan = _plan(table, data, stores)
    counts = {
        name: {split: int(np.sum((table.labels == code) & (splits == split))) for split in SPLITS}
        for code, name in enumerate(table.classes)
    }
    done = all((_folder(store, plan.mode) / "about.json").exists() for store in stores)
    return DataSurvey(table=table, counts=counts, plan=plan, prepared=done)


def _folder(decoded: Path, mode: StoreMode) -> Path:
    return decoded if mode == "decoded" else decoded.with_name(f"{decoded.name}-streamed")


def _load(data: DataSpec, *, base_dir: Path, root: Path) -> ImageTable:
    downloads = _downloads(data, root)
    table = load_table(data.source, base_dir=base_dir, group=data.split.group, root=data.root, downloads=downloads)
    if downloads is not None and downloads.exists():
        downloads.touch()  # its time says when the set was last used
    return table


def _downloads(data: DataSpec, root: Path) -> Path | None:
    """Where a set of torchvision's is kept that the user has not put anywhere."""
    if data.root is not None or not data.source.startswith(TORCHVISION_PREFIX):
        return None
    return root / "torchvision" / data.source.removeprefix(TORCHVISION_PREFIX)


def _plan(table: ImageTable, data: DataSpec, decoded: Sequence[Path]) -> StorePlan:
    """decoded: the folders of the decoded stores, which take no further room where they lie already."""
    capacity = Capacity.measure(decoded[0].parent)  # half of what is free counts, hence twice what lies there already
    taken = sum((store / "images.npy").stat().st_size for store in decoded if (store / "about.json").exists())
    return plan_store(
        images=len(table.images),
        image_size=data.image_size,
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
    """Stores that do not say it were made when there was one way."""
    way: Interpolation = about.get("interpolation", "bilinear")
    return way


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
    """(N,) of SPLITS: the source's own where it says so, the rest by data.split among the splits it left out."""
    said = np.full(len(table.labels), "") if table.split is None else table.split
    undecided = np.flatnonzero(said == "")
    splits = said.astype("<U7")
    if len(undecided):
        fixed = {name: 0.0 for name in ("val", "confirm", "test") if np.any(said == name)}
        splits[undecided] = assign_splits(
            table.labels[undecided],
            classes=table.classes,
            split=data.split.model_copy(update=fixed),
            groups=None if table.groups is None else table.groups[undecided],
            names=[table.names[row] for row in undecided],
        )
    if table.split is not None:
        check_splits(splits, table.labels, classes=table.classes, groups=table.groups)
    return splits


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
