"""Where labelled images come from: a registered data set, a folder of class folders, or a manifest."""

from __future__ import annotations

import csv
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from search_spaces.errors import did_you_mean, show
from trainables.errors import DataError
from trainables.images import SUFFIXES
from trainables.manifests import load_manifest
from trainables.splits import SPLITS
from trainables.tables import ImageTable

__all__ = ["DATASETS", "DatasetInfo", "ImageTable", "load_table"]


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """A data set known by name. `load` raises DataError where its package is missing."""

    name: str
    description: str
    citation: str
    licence: str
    load: Callable[[], ImageTable]


def load_table(source: str, *, base_dir: Path, group: str | None = None) -> ImageTable:
    """The labelled images that `source` names.

    source: a name in DATASETS (which wins over a folder of that name: write ./digits for the folder), a
        folder that holds one folder per class, or a manifest ending in .csv. Relative paths start at
        `base_dir`.
    group: the manifest's column whose equal values keep images in one split.
    Raises DataError for a source that is missing, holds no images or one class, or is inconsistent.
    """
    info = DATASETS.get(source)
    path = base_dir / Path(source).expanduser()
    if info is None and path.suffix.lower() == ".csv" and not path.is_dir():
        if not path.exists():
            raise DataError(f"data.source: no such file: {path}")
        return load_manifest(path, group=group)
    if group is not None:
        raise DataError(f"data.split.group: only a manifest has columns, {show(source)} has none ({group})")
    if info is not None:
        return info.load()
    if path.is_dir():
        return _load_folder(path)
    raise DataError(_no_source(source, path))


def _no_source(source: str, path: Path) -> str:
    if path.exists():
        return f"data.source: must be a folder of class folders or a .csv manifest ({path})"
    if os.sep in source or source.startswith("."):
        return f"data.source: no such folder: {path}"
    return (
        f"data.source: neither a data set ({', '.join(DATASETS)}) nor a folder ({path}): "
        f"{show(source)}{did_you_mean(source, DATASETS)}"
    )


def _load_folder(root: Path) -> ImageTable:
    folders = [entry.name for entry in root.iterdir() if entry.is_dir() and not _is_hidden(entry.name)]
    classes = tuple(sorted(folders))
    found = {name: _images_below(root / name) for name in classes}
    if not any(found.values()):
        raise DataError(
            f"data.source: no images: {root} must hold one folder per class with {', '.join(sorted(SUFFIXES))} files"
        )
    if len(classes) < 2:
        raise DataError(f"data.source: {root} must hold at least two class folders (only {show(classes[0])})")
    if set(classes) <= {*SPLITS, "valid", "validation"}:
        raise DataError(
            f"data.source: {root} holds splits ({', '.join(classes)}), not classes: "
            f"list the images in a manifest with the columns image,label,split"
        )
    empty = [name for name in classes if not found[name]]
    if empty:
        raise DataError(f"data.source: class folders of {root} must hold images (none in {', '.join(empty)})")
    images = [image for name in classes for image in found[name]]
    return ImageTable(
        name=root.resolve().name,
        images=images,
        names=tuple(image.relative_to(root).as_posix() for image in images),
        labels=np.repeat(np.arange(len(classes)), [len(found[name]) for name in classes]).astype(np.int64),
        classes=classes,
    )


def _images_below(folder: Path) -> list[Path]:
    """Files with an image's suffix at any depth, links followed, each folder entered once, sorted by path."""
    images: list[Path] = []
    entered: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        place = os.path.realpath(here)
        if place in entered:
            folders.clear()
            continue
        entered.add(place)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        images += [Path(here, name) for name in files if _is_image(name)]
    return sorted(images, key=lambda image: image.relative_to(folder).as_posix())


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _load_digits() -> ImageTable:
    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return ImageTable(
        name="digits",
        images=list(pixels),
        names=tuple(f"{row:04d}" for row in range(len(pixels))),
        labels=bunch.target.astype(np.int64),
        classes=tuple(str(digit) for digit in bunch.target_names),
    )


def _load_elpv() -> ImageTable:
    package = importlib.util.find_spec("elpv_dataset")
    if package is None or package.origin is None:
        raise DataError('data.source: elpv needs the package elpv-dataset: pip install "meltpoint[demo]"')
    folder = Path(package.origin).parent / "data"
    with (folder / "labels.csv").open(newline="") as stream:
        rows = list(csv.reader(stream, delimiter=" ", skipinitialspace=True))
    names = tuple(row[0] for row in rows)
    return ImageTable(
        name="elpv",
        images=[folder / name for name in names],
        names=names,
        labels=np.array([float(row[1]) > 0.5 for row in rows], dtype=np.int64),
        classes=("functional", "defective"),
    )


DATASETS: Mapping[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo(
            name="digits",
            description="1,797 handwritten digits, 8 x 8 grey, ten classes; comes with scikit-learn",
            citation="Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI",
            licence="CC BY 4.0",
            load=_load_digits,
        ),
        DatasetInfo(
            name="elpv",
            description="2,624 photos of solar cells, 300 x 300 grey; defective: probability above 0.5",
            citation="Deitsch et al. 2019, Automatic classification of defective photovoltaic module cells",
            licence="CC BY-NC-SA 4.0",
            load=_load_elpv,
        ),
    )
}
