"""Manifests: CSV or Parquet files that list images and labels, and optionally splits and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from search_spaces.errors import did_you_mean, show
from search_spaces.sweeps import DataColumns
from trainables.datasets.files import parent_uri
from trainables.datasets.manifest_readers import Cells, Sheet, read_sheet
from trainables.datasets.roots import Root, open_root
from trainables.datasets.splits import SPLITS
from trainables.datasets.tables import ImageSource, ImageTable, check_class_names
from trainables.errors import DataError

__all__ = ["load_manifest"]

_SHOWN_PROBLEMS = 10
_ROLES = ("image", "label", "split")


def load_manifest(
    place: Path | str, *, group: str | None, root: Path | str | None = None, columns: DataColumns | None = None
) -> ImageTable:
    """List the images of a manifest with the columns `image`, `label` and, if it exists, `split`.

    Rows keep the file's order; classes are sorted.

    Args:
        place: path or URI of the manifest.
        group: name of the column whose equal values keep images in one split.
        root: path or URI at which image paths start, and below which they must stay; by default the manifest's folder.
        columns: names of columns that are called otherwise.

    Raises:
        DataError: the message gives file, line and column of the first ten mistakes.
    """
    names = {role: getattr(columns, role, None) or role for role in _ROLES}
    sheet = read_sheet(place, [*names.values(), *([group] if group else [])])
    _check_header(sheet, names, asks_split=columns is not None and columns.split is not None, group=group)
    images = open_root(root if root is not None else place.parent if isinstance(place, Path) else parent_uri(place))
    checked = [column for column in (*names.values(), group) if column in sheet.header]
    located: dict[str, tuple[str, ImageSource]] = {}
    problems: list[str] = []
    for row_place, cells in sheet.rows:
        problems += [f"{row_place}: {problem}" for problem in _row_problems(cells, checked, names["split"])]
        cell = cells[names["image"]]
        problems += [f"{row_place}: {names['image']}: {p}" for p in _locate_image(cell, row_place, images, located)]
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        tail = [f"... and {more} more"] if more > 0 else []
        raise DataError("\n".join(problems[:_SHOWN_PROBLEMS] + tail))
    if not sheet.rows:
        raise DataError(f"{place}: must list images (no rows below the header)")
    rows = [cells for _, cells in sheet.rows]
    return _table(place, rows, {name: image for name, (_, image) in located.items()}, names, group=group)


def _locate_image(cell: str, place: str, root: Root, located: dict[str, tuple[str, ImageSource]]) -> list[str]:
    """Add the image that `cell` names to `located` (name -> (its row's place, file)); return the problems."""
    if not cell:
        return []
    try:
        name, image = root.locate(cell)
    except DataError as error:
        return [str(error)]
    first, _ = located.setdefault(name, (place, image))
    if first != place:
        line = first.rpartition(": row ")[2] if ": row " in first else first.rpartition(":")[2]
        unit = "in row" if ": row " in first else "on line"
        return [f"each image must be listed once (also {unit} {line})"]
    return []


def _table(
    place: Path | str,
    rows: Sequence[Cells],
    images: dict[str, ImageSource],
    names: Mapping[str, str],
    *,
    group: str | None,
) -> ImageTable:
    label, split = names["label"], names["split"]
    classes = tuple(sorted({row[label] for row in rows}))
    if len(classes) < 2:
        raise DataError(f"{place}: {label}: must hold at least two classes (only {show(classes[0])})")
    check_class_names(classes, f"{place}: {label}")
    code = {name: position for position, name in enumerate(classes)}
    return ImageTable(
        name=Path(str(place)).stem,
        images=list(images.values()),
        names=tuple(images),
        labels=np.array([code[row[label]] for row in rows], dtype=np.int64),
        classes=classes,
        groups=None if group is None else np.array([row[group] for row in rows]),
        split=np.array([row[split] for row in rows]) if split in rows[0] else None,
    )


def _check_header(sheet: Sheet, names: Mapping[str, str], *, asks_split: bool, group: str | None) -> None:
    header, shown = sheet.header, show(",".join(sheet.header))
    for role in _ROLES if asks_split else ("image", "label"):
        column = names[role]
        if column not in header:
            way_out = f": name the right one, as in data: {{columns: {{{role}: NAME}}}}" if column == role else ""
            hint = "" if column == role else did_you_mean(column, header)
            raise DataError(f"{sheet.head}: the header must have a column `{column}` ({shown}){hint}{way_out}")
    if len(set(header)) != len(header):
        raise DataError(f"{sheet.head}: the header must name each column once ({shown})")
    if group is not None and group not in header:
        hint = did_you_mean(group, [column for column in header if column not in names.values()])
        raise DataError(f"{sheet.head}: the header must have data.split.group's column `{group}` ({shown}){hint}")


def _row_problems(row: Cells, columns: Sequence[str | None], split_column: str) -> list[str]:
    cells = [(column, row[column]) for column in columns if column is not None]
    problems = [f"{column}: must not be empty" for column, cell in cells if not cell]
    problems += [f"{column}: must not be NaN" for column, cell in cells if cell.lower() == "nan"]
    split = row.get(split_column)
    if split and split.lower() != "nan" and split not in SPLITS:
        problems.append(
            f"{split_column}: must be one of {', '.join(SPLITS)} ({show(split)}){did_you_mean(split, SPLITS)}"
        )
    return problems
