"""Metadata files beside images: metadata.csv or .jsonl with the column `file_name`, one for all or one in each split.

Convention: Hugging Face ImageFolder, https://huggingface.co/docs/datasets/image_dataset
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from search_spaces.sweeps import DataColumns
from trainables.datasets.files import RemoteFile, join_uri
from trainables.datasets.layouts import split_named_by
from trainables.datasets.manifests.columns import ColumnChoice, choose_columns
from trainables.datasets.manifests.missing import find_way_out
from trainables.datasets.manifests.readers import Sheet, read_sheet
from trainables.datasets.manifests.roots import ListedRoot
from trainables.datasets.manifests.rows import Row, make_table, read_rows
from trainables.datasets.splits import SPLITS
from trainables.datasets.tables import EmbeddedImage, ImageSource, ImageTable
from trainables.errors import DataError

__all__ = ["FolderFiles", "is_metadata", "load_metadata"]

_NAMES: Final = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_IMAGE: Final = "file_name"


@dataclass(frozen=True, kw_only=True)
class FolderFiles:
    """Files below a folder that may have metadata.

    Attributes:
        place: the folder's path or URI.
        name: name of the data set.
        images: path below the folder -> image.
        metadata: path below the folder -> file, of those that are called as metadata files are.
        left_out: (reason, path) of the other files.
    """

    place: Path | str
    name: str
    images: Mapping[str, ImageSource]
    metadata: Mapping[str, Path | RemoteFile | EmbeddedImage]
    left_out: Sequence[tuple[str, str]]


def is_metadata(path: str) -> bool:
    """Return if a file is called as metadata files are."""
    return posixpath.basename(path) in _NAMES


def load_metadata(
    files: FolderFiles, *, columns: DataColumns, group: str | None, has_classes: bool
) -> ImageTable | None:
    """List the images that metadata files of a folder list; None if it has none with labels.

    Splits come from a column `split`, else from the names of the topmost folders, if all of them name splits; those
    that none names are cut from the training images. Images that no file lists are left out.

    Args:
        files: the folder.
        columns: names of columns; if it names no image, that is `file_name`.
        group: name of the column whose equal values keep images in one split.
        has_classes: whether folders name classes, which count if it is not clear which column has the labels.

    Raises:
        DataError: the label can be chosen in several ways and no folders name classes, or a file has mistakes.
    """
    named = columns if columns.image else columns.model_copy(update={"image": _IMAGE})
    sheets = {path: read_sheet(file) for path, file in files.metadata.items()}
    sheets = {path: sheet for path, sheet in sheets.items() if named.image in sheet.header}
    choice = _choose(sheets.values(), named, group=group, may_lack_labels=has_classes)
    if choice is None:
        return None
    sheets = {path: sheet for path, sheet in sheets.items() if {*choice.read} <= {*sheet.header}}
    rows = [row for path, sheet in sheets.items() for row in _rows(files, path, sheet, choice)]
    if choice.split is None:
        rows = list(_with_splits(rows))
    listed = {row.name for row in rows}
    unlisted = [("in no metadata file with labels", name) for name in files.images if name not in listed]
    return make_table(
        files.place,
        rows,
        name=files.name,
        column=choice.label or choice.classes[0],
        has_groups=group is not None,
        layout=f"{', '.join(sheets)}: {choice.describe()}",
        left_out=[*unlisted, *files.left_out],
    )


def _choose(
    sheets: Iterable[Sheet], named: DataColumns, *, group: str | None, may_lack_labels: bool
) -> ColumnChoice | None:
    """Return the columns of the first file that has labels."""
    problem = None
    for sheet in sheets:
        try:
            return choose_columns(sheet, named, group=group)
        except DataError as error:
            problem = problem or error
    if problem is None or may_lack_labels:
        return None
    raise problem


def _rows(files: FolderFiles, path: str, sheet: Sheet, choice: ColumnChoice) -> Iterator[Row]:
    folder = path.removesuffix(posixpath.basename(path))
    place = files.place / folder if isinstance(files.place, Path) else join_uri(files.place, folder).rstrip("/")
    below = {name.removeprefix(folder): image for name, image in files.images.items() if name.startswith(folder)}
    root = ListedRoot(place, below)
    for row in read_rows(sheet, choice, root, partial(find_way_out, root, None)):
        yield replace(row, name=f"{folder}{row.name}")


def _with_splits(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows with the splits that their topmost folders name, if all of these name one."""
    paths = [row.name.split("/") for row in rows]
    depth = 0
    while all(len(path) > depth + 1 for path in paths) and len({path[depth] for path in paths}) == 1:
        depth += 1
    folders = [path[depth] if len(path) > depth + 1 else "" for path in paths]
    roles = {folder: split_named_by(folder) for folder in {*folders}}
    if None in roles.values() or "train" not in roles.values():
        yield from rows
        return
    for row, folder in zip(rows, folders, strict=True):
        role = roles[folder]
        if role in SPLITS:
            yield replace(row, split="" if role == "train" else role)
        else:
            yield replace(row, left_out=f"in {folder}, which is no split with labels")
