"""Choice of a manifest's columns: those that the sweep file names, else those whose names or cells leave no doubt."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, NoReturn

from search_spaces.errors import did_you_mean, show
from search_spaces.sweeps import DataColumns
from trainables.datasets.images import SUFFIXES
from trainables.datasets.layouts import split_named_by
from trainables.datasets.manifests.readers import Sheet
from trainables.errors import DataError

__all__ = ["YES", "ColumnChoice", "choose_columns", "column_line", "refuse_columns"]

_PLAIN_NAMES: Final = {
    "image": (
        (
            "image",
            "img",
            "file",
            "path",
            "filename",
            "filepath",
            "imagefile",
            "imagefilename",
            "imagename",
            "imagepath",
        ),
        ("imageid", "imgid", "id"),
    ),
    "label": (
        ("label", "class", "category", "target"),
        ("labelname", "classname", "categoryname"),
        ("labelid", "classid", "categoryid"),
    ),
}
"""Names by which a column is known, the plainest first: in any case, also in the plural, with or without `_`."""
YES: Final = frozenset(("1", "1.0", "1,0", "true"))
_NO: Final = frozenset(("0", "0.0", "0,0", "false"))
_SHOWN: Final = 12


@dataclass(frozen=True, kw_only=True)
class ColumnChoice:
    """Columns of a manifest.

    Attributes:
        image: column of the images' paths.
        label: column of the labels; None if `classes` has them.
        classes: columns of 0 and 1, of which a row has its 1 in the column of its class.
        split: column of the splits, if there is one.
        group: column of `data.split.group`, if it is wanted.
        unread: a column that names splits, but is not read, since it has another name than `split`.
    """

    image: str
    label: str | None
    classes: tuple[str, ...] = ()
    split: str | None = None
    group: str | None = None
    unread: str | None = None

    @property
    def read(self) -> tuple[str, ...]:
        """The columns that are read."""
        columns = (self.image, self.label, *self.classes, self.split, self.group)
        return tuple(column for column in columns if column is not None)

    def describe(self) -> str:
        """Return which columns are read, such as `images in `id`, labels in `breed``."""
        labels = f"labels in `{self.label}`" if self.label else f"a column for each class ({_some(self.classes)})"
        parts = [f"images in `{self.image}`", labels, *([f"splits in `{self.split}`"] if self.split else [])]
        hint = f"; to read the splits in `{self.unread}`: {column_line('split', self.unread)}" if self.unread else ""
        return f"{', '.join(parts)}{hint}"


def choose_columns(sheet: Sheet, named: DataColumns, *, group: str | None) -> ColumnChoice:
    """Choose the columns of a manifest.

    A column that `named` does not name is the one called `image`, `label` or `split`; else the only one with a plain
    name, such as `filename` and `class`. The label may also be the only column that is left, or lie in several columns
    of 0 and 1, one for each class.

    Raises:
        DataError: a column is missing, or can be chosen in several ways; the message gives the line to write.
    """
    _check_header(sheet, named, group)
    image = named.image or _plain(sheet, "image", sheet.header, taken=(named.label, named.split, group))
    if image is None:
        _refuse_without_image(sheet)
    split = named.split or ("split" if "split" in sheet.header else None)
    left = [column for column in sheet.header if column and column not in (image, split, group)]
    label = named.label or _plain(sheet, "label", left)
    left = [column for column in left if column != label]
    unread = None if split else next((column for column in left if _names_splits(sheet, column)), None)
    left = [column for column in left if column != unread]
    classes = () if label is not None else _class_columns(sheet, left)
    if label is None and not classes:
        label = left[0] if len(left) == 1 else _refuse_without_label(sheet, left)
    return ColumnChoice(image=image, label=label, classes=classes, split=split, group=group, unread=unread)


def refuse_columns(source: str, columns: DataColumns | None, group: str | None) -> None:
    """Raise DataError if columns are named of a source that has none."""
    if group is not None:
        raise DataError(
            f"data.split.group: only a manifest or metadata file has columns, {show(source)} has none ({group})"
        )
    named = [role for role in DataColumns.model_fields if columns is not None and getattr(columns, role) is not None]
    if named:
        raise DataError(
            f"data.columns: only a manifest or metadata file has columns, {show(source)} has none ({', '.join(named)})"
        )


def column_line(role: str, column: str) -> str:
    """Return the line of the sweep file that names a column, such as `columns: {label: breed}`."""
    is_plain = re.fullmatch(r"[^\W\d][\w ./-]*", column) and column.lower() not in ("null", "true", "false")
    return f"`columns: {{{role}: {column if is_plain else json.dumps(column, ensure_ascii=False)}}}`"


def _check_header(sheet: Sheet, named: DataColumns, group: str | None) -> None:
    header, shown = sheet.header, _shown_header(sheet)
    for role in ("image", "label", "split"):
        column = getattr(named, role)
        if column is not None and column not in header:
            hint = did_you_mean(column, header)
            raise DataError(
                f"{sheet.head}: the header must have data.columns.{role}'s column `{column}` ({shown}){hint}"
            )
    if group is not None and group not in header:
        taken = (named.image or "image", named.label or "label", named.split or "split")
        hint = did_you_mean(group, [column for column in header if column not in taken])
        raise DataError(f"{sheet.head}: the header must have data.split.group's column `{group}` ({shown}){hint}")
    columns = [column for column in header if column]
    if len(set(columns)) != len(columns):
        raise DataError(f"{sheet.head}: the header must name each column once ({shown})")


def _plain(sheet: Sheet, role: str, columns: Sequence[str], taken: Sequence[str | None] = ()) -> str | None:
    """Return the column that is called `role`, or the only one with the plainest name; None if there is none."""
    free = [column for column in columns if column not in taken]
    if role in free:
        return role
    for names in _PLAIN_NAMES[role]:
        stems = {name.removesuffix("s") for name in names}
        fitting = [c for c in free if re.sub(r"[\W_]", "", c.lower()).removesuffix("s") in stems]
        if len(fitting) > 1:
            raise DataError(f"{sheet.head}: {_several(role, fitting)}")
        if fitting:
            return fitting[0]
    return None


def _refuse_without_image(sheet: Sheet) -> NoReturn:
    shown = _shown_header(sheet)
    if any(PurePath(column).suffix.lower() in SUFFIXES for column in sheet.header):
        raise DataError(f"{sheet.head}: the first line must name the columns, as in image,label ({shown})")
    filled = ((column, next(iter(_cells(sheet, column)), "")) for column in sheet.header if column)
    best = next((column for column, cell in filled if PurePath(cell).suffix.lower() in SUFFIXES), None)
    line = "`columns: {image: NAME}`" if best is None else column_line("image", best)
    raise DataError(f"{sheet.head}: the header must have a column `image` ({shown}); or write under data: {line}")


def _refuse_without_label(sheet: Sheet, left: Sequence[str]) -> NoReturn:
    counts = {column: len(set(_cells(sheet, column))) for column in left}
    likely = [column for column, count in counts.items() if 1 < count < len(sheet.numbers)] or list(counts)
    if not likely:
        raise DataError(f"{sheet.head}: the header must have a column `label` ({_shown_header(sheet)})")
    raise DataError(f"{sheet.head}: {_several('label', likely)}")


def _several(role: str, columns: Sequence[str]) -> str:
    if len(columns) == 1:
        return f"the header must have a column `{role}`; or write under data: {column_line(role, columns[0])}"
    what = "labels" if role == "label" else "images"
    return (
        f"several columns may hold the {what} ({_some(columns)}): choose one, such as {columns[0]}, and write under "
        f"data: {column_line(role, columns[0])}"
    )


def _class_columns(sheet: Sheet, left: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of 0 and 1 if each row has a single 1 in them; () if there are no such columns.

    Raises:
        DataError: all columns that are left hold 0 and 1, but some rows have no 1 or several.
    """
    columns = {column: cells for column in left if (cells := _binary(sheet, column)) is not None}
    if len(columns) < 2 or not sheet.numbers:
        return ()
    counts = [sum(row) for row in zip(*columns.values(), strict=True)]
    wrong = [row for row, count in enumerate(counts) if count != 1]
    if wrong and len(columns) < len(left):
        return ()
    if wrong:
        first, more = wrong[0], f", and {len(wrong) - 1:,} more like it" if len(wrong) > 1 else ""
        set_here = [column for column, cells in columns.items() if cells[first]]
        raise DataError(
            f"{sheet.place(first)}: must have a 1 in one of the class columns {_some([*columns])} "
            f"({_some(set_here) if set_here else 'none'}){more}: an image has one class here; if one of the columns "
            f"is the label, write under data: {column_line('label', next(iter(columns)))}"
        )
    return tuple(columns)


def _binary(sheet: Sheet, column: str) -> list[bool] | None:
    """Return a column of 0 and 1 as truth values; None if it holds anything else."""
    cells = [cell.lower() for cell in _cells(sheet, column)]
    return [cell in YES for cell in cells] if cells and {*cells} <= YES | _NO else None


def _names_splits(sheet: Sheet, column: str) -> bool:
    cells = set(_cells(sheet, column))
    roles = {split_named_by(cell) for cell in cells} if len(cells) <= _SHOWN else {None}
    return None not in roles and "train" in roles and len(roles) > 1


def _cells(sheet: Sheet, column: str) -> list[str]:
    """Return the cells of a column; none if it holds other things than text and numbers."""
    try:
        return sheet.column(column)
    except DataError:
        return []


def _some(columns: Sequence[str]) -> str:
    return ", ".join([*columns[:_SHOWN], *(["..."] if len(columns) > _SHOWN else [])])


def _shown_header(sheet: Sheet) -> str:
    return show(",".join(sheet.header))
