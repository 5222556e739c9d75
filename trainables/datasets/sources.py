"""Sources of labelled images: registered data sets, folders, manifests, torchvision, and own code."""

from __future__ import annotations

import csv
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search_spaces.documents import expand_user
from search_spaces.errors import did_you_mean, show
from search_spaces.extensions import installed_names, is_own
from search_spaces.sweeps import DataColumns, DataLayout
from trainables.datasets.archives import (
    ARCHIVE_SUFFIXES,
    ArchiveFolder,
    ArchiveMember,
    TemporaryFiles,
    UnpackedFiles,
    is_archive,
    is_web_dataset,
    load_web_dataset,
    open_archives,
)
from trainables.datasets.arrays import ARRAYS_SUFFIX, load_arrays
from trainables.datasets.files import RemoteFile, is_uri, list_files, resolve_location, split_uri
from trainables.datasets.folders import load_folder
from trainables.datasets.local_folders import list_local
from trainables.datasets.manifests import MANIFEST_SUFFIXES, load_manifest, refuse_columns
from trainables.datasets.own_datasets import load_own_dataset
from trainables.datasets.parquet_images import find_shards, has_images, load_parquet_images
from trainables.datasets.tables import ImageTable, check_table
from trainables.datasets.torchvision_sets import TORCHVISION_PREFIX, load_torchvision
from trainables.errors import DataError
from trainables.own_code import make_importable

__all__ = ["DATASETS", "DatasetInfo", "load_table"]


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """A data set known by name. `load` raises DataError if its package is missing."""

    name: str
    description: str
    citation: str
    licence: str
    load: Callable[[], ImageTable]


def load_table(
    source: str,
    *,
    base_dir: Path,
    group: str | None = None,
    root: str | None = None,
    downloads: Path | None = None,
    unpacked: UnpackedFiles | None = None,
    layout: DataLayout | None = None,
    columns: DataColumns | None = None,
) -> ImageTable:
    """List the labelled images that `source` names, undecoded.

    Args:
        source: a name in DATASETS (which wins over a folder of that name: write ./digits for the folder);
            `torchvision:NAME`; own code, `module:function` or an entry point; or a path or URI of a folder with one
            folder for each class, of an archive of such a folder or of WebDataset samples, of a `.npz` file, or of a
            manifest ending in .csv or .parquet.
        base_dir: folder at which relative paths start.
        group: a manifest's column whose equal values keep images in one split.
        root: path or URI at which a manifest's paths start and below which they stay (by default the manifest's
            folder), the folder given to own code (by default `base_dir`), or the folder of torchvision's files (by
            default `downloads`).
        downloads: folder for downloads of torchvision; by default `base_dir`.
        unpacked: place for local copies of what cannot be read in place; by default a temporary folder.
        layout: levels of folders of an image folder; None to find them.
        columns: names of the columns of a manifest, of Parquet files with images, or of arrays; the label's field in
            WebDataset samples.

    Raises:
        DataError: the source is missing, cannot be read, has fewer than two classes, or is inconsistent.
        OwnCodeError: own code cannot be used.
    """
    columns, unpacked = columns or DataColumns(), unpacked or TemporaryFiles()
    place = resolve_location(source, base_dir)
    try:
        if layout is not None:
            _check_is_folder(source, base_dir)
        if source not in DATASETS and _ends_with(place, (ARRAYS_SUFFIX,)):
            refuse_columns(source, None, group)
            return load_arrays(place, columns=columns, unpacked=unpacked)
        listed = _list_folder(source, base_dir)
        archives = _open_archives(source, place, listed, unpacked)
        if archives is not None and layout is None and is_web_dataset(archives):
            refuse_columns(source, None, group)
            return load_web_dataset(archives, columns)
        looks = archives is None and source not in DATASETS
        local = list_local(place) if looks and isinstance(place, Path) and place.is_dir() else None
        files = archives.files if archives is not None else local.files if local is not None else listed
        table = _load_rows(source, base_dir, files, group=group, root=root, columns=columns)
        if table is not None:
            return table
        if source not in DATASETS and (archives is not None or is_uri(source) or _is_folder(place)):
            return load_folder(place, layout, local or listed, archives, columns=columns, group=group)
        refuse_columns(source, columns, group)
        return _load(source, base_dir=base_dir, root=root, downloads=downloads)
    except OSError as error:
        raise DataError(f"data.source: {error.filename or source} cannot be read: {error.strerror or error}") from None


def _list_folder(source: str, base_dir: Path) -> Mapping[str, RemoteFile] | None:
    """Return the files of a folder behind a URI, listed once; None for other sources."""
    place = resolve_location(source, base_dir)
    is_folder = isinstance(place, str) and not _ends_with(place, MANIFEST_SUFFIXES) and not is_archive(place)
    return list_files(str(place)) if is_folder else None


def _open_archives(
    source: str, place: Path | str, listed: Mapping[str, RemoteFile] | None, unpacked: UnpackedFiles
) -> ArchiveFolder | None:
    if source in DATASETS or _ends_with(place, MANIFEST_SUFFIXES):
        return None
    return open_archives(place, unpacked, listed)


def _ends_with(place: Path | str, suffixes: tuple[str, ...]) -> bool:
    """Return if a place is no folder of this machine and its name, in a chain that of the first path, ends so."""
    name = split_uri(place)[1] if isinstance(place, str) else str(place)
    return not _is_folder(place) and name.lower().endswith(suffixes)


def _load_rows(
    source: str,
    base_dir: Path,
    listed: Mapping[str, Path | RemoteFile | ArchiveMember] | None,
    *,
    group: str | None,
    root: str | None,
    columns: DataColumns,
) -> ImageTable | None:
    """Return the images that the rows of a manifest or of Parquet files list; None for other sources."""
    place = resolve_location(source, base_dir)
    if source in DATASETS:
        return None
    is_manifest = _ends_with(place, MANIFEST_SUFFIXES)
    root_place = None if root is None else resolve_location(root, base_dir)
    if is_manifest and isinstance(place, Path) and not place.exists():
        raise DataError(f"data.source: no such file: {place}")
    if is_manifest or listed is not None:
        shards = find_shards(place, listed)
        if has_images(shards):
            return load_parquet_images(place, shards, columns=columns, group=group, root=root_place)
    if is_manifest:
        return load_manifest(place, group=group, root=root_place, columns=columns, base_dir=base_dir)
    return None


def _load(
    source: str,
    *,
    base_dir: Path,
    root: str | None,
    downloads: Path | None,
) -> ImageTable:
    root_place = None if root is None else resolve_location(root, base_dir)
    if source in DATASETS:
        return DATASETS[source].load()
    if source.startswith(TORCHVISION_PREFIX):
        return load_torchvision(source, _local(root_place or downloads or base_dir))
    if is_own(source, "dataset"):
        make_importable(base_dir)
        table = load_own_dataset(source, _local(root_place or base_dir))
        check_table(table, f"data.source: {source}")
        return table
    raise DataError(_no_source(source, base_dir / expand_user(source)))


def _check_is_folder(source: str, base_dir: Path) -> None:
    place = resolve_location(source, base_dir)
    is_file = _ends_with(place, (*MANIFEST_SUFFIXES, ARRAYS_SUFFIX))
    if source in DATASETS or is_file or not (_is_folder(place) or is_uri(source) or is_archive(place)):
        raise DataError(f"data.layout: only image folders have one, {show(source)} is none: remove the key")


def _is_folder(place: Path | str) -> bool:
    return isinstance(place, Path) and place.is_dir()


def _local(root: Path | str) -> Path:
    if isinstance(root, str):
        raise DataError(f"data.root: must be a folder of this machine for this source ({root})")
    return root


def _no_source(source: str, path: Path) -> str:
    if path.exists():
        return (
            f"data.source: must be a folder of images, a manifest ({', '.join(MANIFEST_SUFFIXES)}), an archive "
            f"({', '.join(ARCHIVE_SUFFIXES)}) or {ARRAYS_SUFFIX}: {path}"
        )
    if os.sep in source or source.startswith("."):
        return f"data.source: no such folder: {path}"
    known = [*DATASETS, *installed_names("dataset")]
    return (
        f"data.source: neither a data set ({', '.join(known)}, torchvision:NAME, module:function) "
        f"nor a folder ({path}): {show(source)}{did_you_mean(source, known)}"
    )


def _load_digits() -> ImageTable:
    from sklearn.datasets import (
        load_digits,
    )  # also loads SciPy and pandas, which takes seconds and is needed by no other data set

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return ImageTable(
        name="digits",
        images=list(pixels),
        names=tuple(f"{row:04d}" for row in range(len(pixels))),
        labels=digits.target.astype(np.int64),
        classes=tuple(str(digit) for digit in digits.target_names),
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
