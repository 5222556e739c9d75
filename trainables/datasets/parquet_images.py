"""Parquet files that hold the images themselves, as most image sets on the Hugging Face hub do."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow
import pyarrow.parquet

from search_spaces.errors import did_you_mean, show
from search_spaces.sweeps import DataColumns
from trainables.datasets.archives import ArchiveMember, look_up_place
from trainables.datasets.files import RemoteFile, file_stamp, name_of, parent_uri, split_uri
from trainables.datasets.layouts import split_named_by, split_of_path
from trainables.datasets.manifests import Root, open_root
from trainables.datasets.splits import SPLITS
from trainables.datasets.tables import ImageSource, ImageTable, LeftOut, check_class_names
from trainables.errors import DataError

__all__ = ["ParquetImage", "find_shards", "has_images", "load_parquet_images"]

_SUFFIX = ".parquet"
_KEPT_GROUPS = 4
_FEATURES = b"huggingface"

Shard = Path | RemoteFile | ArchiveMember


class _Reader:
    """Images of a file, read a row group at a time; the last few row groups are kept, since images come in order."""

    def __init__(self, shard: Shard, column: str) -> None:
        self._shard, self._column = shard, column
        self._lock = threading.Lock()
        self._file: pyarrow.parquet.ParquetFile | None = None
        self._groups: OrderedDict[int, pyarrow.ChunkedArray] = OrderedDict()

    def read(self, group: int, row: int) -> bytes:
        """Return the bytes of an image by its row group, and its row in it."""
        with self._lock:
            if group not in self._groups:
                if self._file is None:
                    self._file = _open(self._shard)
                self._groups[group] = self._file.read_row_group(group, columns=[self._column]).column(0)
                if len(self._groups) > _KEPT_GROUPS:
                    self._groups.popitem(last=False)
            value = self._groups[group][row]
        content: bytes | None = (value["bytes"] if pyarrow.types.is_struct(value.type) else value).as_py()
        if content is None:
            raise DataError("the row holds no bytes of an image")
        return content


@dataclass(frozen=True, kw_only=True)
class ParquetImage:
    """An image in a row of a Parquet file.

    Attributes:
        name: file and row, for messages.
        file_stamp: changes with the file.
    """

    name: str
    file_stamp: str
    group: int
    row: int
    reader: _Reader = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.name

    @property
    def stamp(self) -> str:
        """Text that changes with the file and names the row."""
        return f"{self.file_stamp} {self.group} {self.row}"

    def read(self) -> bytes:
        """Return the bytes of the image file; raise DataError if they cannot be read."""
        try:
            return self.reader.read(self.group, self.row)
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from None
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{self.name}: cannot be read: {str(error).splitlines()[0]}") from None


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Names of the columns to read, and the names of the classes if the file has them."""

    image: str
    label: str
    split: str | None
    group: str | None
    classes: tuple[str, ...] | None

    @property
    def cells(self) -> list[str]:
        """The columns without the images."""
        return [name for name in dict.fromkeys((self.label, self.split, self.group)) if name is not None]


def find_shards(place: Path | str, listed: Mapping[str, Shard] | None = None) -> dict[str, Shard]:
    """Return the Parquet files at a path or URI, or below a folder, by name; sorted.

    listed: the files below the folder, or in archives; None for a single file.
    """
    if listed is not None:
        return {name: file for name, file in listed.items() if _is_shard(name)}
    if isinstance(place, str):
        file = look_up_place(place) if _is_shard(split_uri(place)[1]) else None
        return {} if file is None else {name_of(place): file}
    return {place.name: place} if place.is_file() and place.suffix.lower() == _SUFFIX else {}


def has_images(shards: dict[str, Shard]) -> bool:
    """Return if the first of the files has a column of image files; False if it is no Parquet file."""
    if not shards:
        return False
    name, shard = next(iter(shards.items()))
    try:
        return bool(_image_columns(_schema(name, shard)))
    except DataError:
        return False


def load_parquet_images(
    place: Path | str,
    shards: dict[str, Shard],
    *,
    columns: DataColumns,
    group: str | None,
    root: Path | str | None = None,
) -> ImageTable:
    """List the images in the rows of Parquet files.

    Splits come from a column `split`, else from the names of files and folders, such as `train-00000-of-00004.parquet`;
    splits that none names are cut from the training images. Class names come from the file's own description of its
    columns (Hugging Face `ClassLabel`), else from the labels. Rows without a label are left out. If no row of a row
    group holds bytes, as the `datasets` package writes sets of local files, their paths are read.

    Args:
        place: path or URI of the source, for messages and the set's name.
        shards: the files, of `find_shards`; all with the same columns.
        columns: names of the columns; those that are None are found.
        group: name of the column whose equal values keep images in one split.
        root: folder at which the paths of images that are not inside start, and below which they lie; by default the
            folder of the Parquet files.

    Raises:
        DataError: a file cannot be read, columns are missing or can be chosen in several ways, or there are fewer than
            two classes.
    """
    schemas = {name: _schema(name, shard) for name, shard in shards.items()}
    chosen = _find_columns(place, next(iter(schemas.values())), columns, group=group)
    for name, schema in schemas.items():
        missing = [column for column in (chosen.image, *chosen.cells) if column not in schema.names]
        if missing:
            raise DataError(f"{name}: must have the columns of the other files of {place} (no {', '.join(missing)})")
    roles = {name: split_of_path(name) for name in shards}
    if chosen.split is not None or not any(roles.values()):
        roles = dict.fromkeys(shards, "train")
    files = open_root(root if root is not None else _folder(place))
    rows = [row for name, shard in shards.items() for row in _rows(name, shard, chosen, roles[name], files)]
    kept = [row for row in rows if row.left_out is None]
    return _table(place, kept, chosen, left_out=((row.left_out, row.name) for row in rows if row.left_out))


@dataclass(frozen=True, kw_only=True)
class _Row:
    name: str
    image: ImageSource
    label: str
    split: str
    group: str
    left_out: str | None


def _rows(name: str, shard: Shard, columns: _Columns, role: str | None, files: Root) -> Iterator[_Row]:
    stamp = shard.stamp if isinstance(shard, ArchiveMember) else file_stamp(shard)
    reader = _Reader(shard, columns.image)
    with _open(shard) as file:
        number = 0
        for group in range(file.num_row_groups):
            cells = file.read_row_group(group, columns=columns.cells).to_pydict()
            paths = _paths(file, group, columns.image)
            for row in range(file.metadata.row_group(group).num_rows):
                label = _label(cells[columns.label][row], columns.classes)
                split = role if columns.split is None else split_named_by(str(cells[columns.split][row]))
                row_name = f"{name}: row {number + 1}"
                yield _Row(
                    name=row_name,
                    image=ParquetImage(name=row_name, file_stamp=stamp, group=group, row=row, reader=reader)
                    if paths is None
                    else _locate(files, paths[row], row_name),
                    label=label,
                    split="" if split == "train" else split or "",
                    group="" if columns.group is None else str(cells[columns.group][row]),
                    left_out=_reason(name, label, split),
                )
                number += 1


def _folder(place: Path | str) -> Path | str:
    if isinstance(place, str):
        return parent_uri(place) if split_uri(place)[1].lower().endswith(_SUFFIX) else place
    return place if place.is_dir() else place.parent


def _paths(file: pyarrow.parquet.ParquetFile, group: int, column: str) -> list[str | None] | None:
    """Return the paths of a row group's images if none of its rows holds bytes; None otherwise."""
    about = file.metadata.row_group(group)
    chunks = {about.column(place).path_in_schema: about.column(place) for place in range(about.num_columns)}
    held, path = chunks.get(f"{column}.bytes"), f"{column}.path"
    if held is None or path not in chunks or held.statistics is None or not held.statistics.has_null_count:
        return None
    if held.statistics.null_count < about.num_rows or about.num_rows == 0:
        return None
    values: list[dict[str, str | None] | None] = file.read_row_group(group, columns=[path]).column(0).to_pylist()
    return [None if value is None else value["path"] for value in values]


def _locate(files: Root, path: str | None, row_name: str) -> ImageSource:
    try:
        if not path:
            raise DataError("it is empty")
        return files.locate(path)[1]
    except DataError as error:
        raise DataError(f"data.source: {row_name} has a path instead of an image's bytes: {error}") from None


def _reason(name: str, label: str, split: str | None) -> str | None:
    if split not in SPLITS:
        return f"in {name}, which is no split with labels"
    return None if label else "without a label"


def _label(value: Any, classes: tuple[str, ...] | None) -> str:
    if value is None:
        return ""
    if classes is None or not isinstance(value, int):
        return str(value).strip()
    return classes[value] if 0 <= value < len(classes) else ""


def _table(
    place: Path | str, rows: Sequence[_Row], columns: _Columns, left_out: Iterator[tuple[str, str]]
) -> ImageTable:
    used = {row.label for row in rows}
    classes = tuple(name for name in columns.classes or sorted(used) if name in used)
    if len(classes) < 2:
        raise DataError(f"{place}: {columns.label}: must hold at least two classes ({', '.join(classes) or 'none'})")
    check_class_names(classes, f"{place}: {columns.label}")
    code = {name: position for position, name in enumerate(classes)}
    splits = np.array([row.split for row in rows])
    return ImageTable(
        name=Path(name_of(place)).stem,
        images=[row.image for row in rows],
        names=tuple(row.name for row in rows),
        labels=np.array([code[row.label] for row in rows], dtype=np.int64),
        classes=classes,
        groups=None if columns.group is None else np.array([row.group for row in rows]),
        split=splits if np.any(splits != "") else None,
        layout=f"Parquet files with images in `{columns.image}` and labels in `{columns.label}`",
        left_out=LeftOut.group(left_out),
    )


def _find_columns(place: Path | str, schema: pyarrow.Schema, columns: DataColumns, *, group: str | None) -> _Columns:
    image, label, split = columns.image, columns.label, columns.split or "split"
    images = _image_columns(schema)
    features = _features(schema)
    chosen = image or (images[0] if len(images) == 1 else None)
    if chosen is None or chosen not in images:
        raise DataError(
            f"{place}: data.columns.image must name the column of the images: one of {', '.join(images)}"
            f"{'' if image is None else f' ({show(image)})'}"
        )
    others = [name for name in schema.names if name not in images]
    named = [name for name in others if features.get(name, {}).get("_type") == "ClassLabel"]
    usual = [name for name in others if name.lower() in ("label", "labels", "class", "target")]
    candidates = named or usual
    chosen_label = label or (candidates[0] if len(candidates) == 1 else None)
    if chosen_label is None or chosen_label not in others:
        raise DataError(
            f"{place}: data.columns.label must name the column of the labels: one of "
            f"{', '.join(candidates or others)}{'' if label is None else f' ({show(label)})'}"
        )
    if columns.split is not None and split not in others:
        raise DataError(f"{place}: must have data.columns.split's column `{split}`{did_you_mean(split, others)}")
    if group is not None and group not in others:
        raise DataError(f"{place}: must have data.split.group's column `{group}`{did_you_mean(group, others)}")
    names = features.get(chosen_label, {}).get("names")
    return _Columns(
        image=chosen,
        label=chosen_label,
        split=split if split in others else None,
        group=group,
        classes=tuple(map(str, names)) if names else None,
    )


def _image_columns(schema: pyarrow.Schema) -> list[str]:
    def contains_files(kind: pyarrow.DataType) -> bool:
        if pyarrow.types.is_struct(kind):
            return any(inner.name == "bytes" and contains_files(inner.type) for inner in kind)
        return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))

    return [column.name for column in schema if contains_files(column.type)]


def _features(schema: pyarrow.Schema) -> dict[str, dict[str, Any]]:
    """Return the description of columns that the `datasets` package writes; {} if there is none."""
    try:
        features = json.loads((schema.metadata or {})[_FEATURES])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return {name: about for name, about in features.items() if isinstance(about, dict)}


def _schema(name: str, shard: Shard) -> pyarrow.Schema:
    try:
        with _open(shard) as file:
            return file.schema_arrow
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{name}: must be a whole Parquet file ({str(error).splitlines()[0]})") from None


def _open(shard: Shard) -> pyarrow.parquet.ParquetFile:
    if isinstance(shard, Path):
        return pyarrow.parquet.ParquetFile(shard, memory_map=True)
    if isinstance(shard, ArchiveMember):
        return pyarrow.parquet.ParquetFile(pyarrow.BufferReader(shard.read()))
    return pyarrow.parquet.ParquetFile(fsspec.open(shard.uri).open())


def _is_shard(name: str) -> bool:
    return name.lower().endswith(_SUFFIX) and not any(part.startswith(".") for part in Path(name).parts)
