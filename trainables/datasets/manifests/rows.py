"""Rows of a manifest with their images located; mistakes of one kind are told once, however many rows make them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from search_spaces.errors import did_you_mean, show
from trainables.datasets.layouts import split_named_by
from trainables.datasets.manifests.columns import YES, ColumnChoice
from trainables.datasets.manifests.readers import Sheet
from trainables.datasets.manifests.roots import MISSING, PlaceError, Root
from trainables.datasets.splits import SPLITS
from trainables.datasets.tables import ImageSource, ImageTable, LeftOut, check_class_names
from trainables.errors import DataError

__all__ = ["Row", "make_table", "read_rows"]

_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Row:
    """An image of a manifest. split: one of SPLITS, "" if the row names none; left_out: the reason to leave it out."""

    name: str
    image: ImageSource
    label: str
    split: str = ""
    group: str = ""
    left_out: str | None = None


@dataclass
class _Problems:
    """Broken rules of a sheet: (column, rule) -> rows and values, in the order in which they are first seen."""

    sheet: Sheet
    rows: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)
    hints: dict[tuple[str, str], str] = field(default_factory=dict)

    def problem(self, row: int, column: str, rule: str, value: str = "", hint: str = "") -> None:
        """Add a row that breaks a rule; of several hints the first is shown."""
        self.rows.setdefault((column, rule), []).append((row, value))
        self.hints.setdefault((column, rule), hint)

    def check(self, advise: Callable[[Sequence[str]], str]) -> None:
        """Raise DataError with a line for each broken rule: its first row, and how many more there are.

        advise: returns the way out for values that name no file.
        """
        if self.rows:
            raise DataError("\n".join(self._line(column, rule, advise) for column, rule in self.rows))

    def _line(self, column: str, rule: str, advise: Callable[[Sequence[str]], str]) -> str:
        (first, value), *others = self.rows[column, rule]
        shown = f" ({show(value)})" if value else ""
        examples = [self._example(row, value) for row, value in others[: _EXAMPLES - 1]]
        unit = self.sheet.unit if len(others) == 1 else f"{self.sheet.unit}s"
        dots = ", ..." if len(others) > len(examples) else ""
        more = f", and {len(others):,} more ({unit} {', '.join(examples)}{dots})" if others else ""
        way_out = (
            advise([value for _, value in self.rows[column, rule]]) if rule == MISSING else self.hints[column, rule]
        )
        return f"{self.sheet.place(first)}: {column}: {rule}{shown}{more}{way_out}"

    def _example(self, row: int, value: str) -> str:
        return f"{self.sheet.numbers[row]}: {show(value)}" if value else str(self.sheet.numbers[row])


def read_rows(sheet: Sheet, columns: ColumnChoice, root: Root, advise: Callable[[Sequence[str]], str]) -> list[Row]:
    """Return the rows of a manifest, in its order, with their images below `root`.

    Args:
        sheet: the manifest.
        columns: its columns.
        root: the folder in which paths start.
        advise: returns the way out for cells that name no file, or "".

    Raises:
        DataError: a line for each kind of mistake, with the first row that makes it, and the number of others.
    """
    problems = _Problems(sheet)
    images = _locate(sheet, columns.image, root, problems)
    splits = _splits(sheet, columns.split, problems)
    labels = _labels(sheet, columns)
    groups = sheet.column(columns.group) if columns.group else [""] * len(images)
    has_role = [split in ("", *SPLITS) for split in splits]
    for column, cells in ((columns.label, labels), (columns.group, groups)):
        if column is not None:
            _check_filled(column, cells, has_role, problems)
    problems.check(advise)
    return [
        Row(
            name=name,
            image=image,
            label=label,
            split=split if labelled else "",
            group=group,
            left_out=None if labelled else f"with the split {split}",
        )
        for (name, image), label, split, group, labelled in zip(images, labels, splits, groups, has_role, strict=True)
    ]


def make_table(
    place: Path | str,
    rows: Sequence[Row],
    *,
    name: str,
    column: str,
    has_groups: bool,
    layout: str,
    left_out: Iterable[tuple[str, str]] = (),
) -> ImageTable:
    """Return the images of a manifest's rows; classes are sorted.

    If no row is a validation image, those are cut from the training images, as `data.split` says.

    Args:
        place: path or URI of the manifest, for messages.
        rows: of `read_rows`.
        name: name of the set.
        column: name of the column of the labels, for messages.
        has_groups: whether the rows' groups must stay in one split.
        layout: how the manifest was read, in words.
        left_out: (reason, name) of images that no row lists.

    Raises:
        DataError: no rows, fewer than two classes, or classes that differ in case only.
    """
    kept = [row for row in rows if row.left_out is None]
    if not kept:
        raise DataError(f"{place}: must list images (no rows below the header)")
    classes = tuple(sorted({row.label for row in kept}))
    if len(classes) < 2:
        raise DataError(f"{place}: {column}: must hold at least two classes (only {show(classes[0])})")
    check_class_names(classes, f"{place}: {column}")
    code = {name: position for position, name in enumerate(classes)}
    splits = np.array([row.split for row in kept])
    if not np.any(splits == "val"):
        splits[splits == "train"] = ""
    return ImageTable(
        name=name,
        images=[row.image for row in kept],
        names=tuple(row.name for row in kept),
        labels=np.array([code[row.label] for row in kept], dtype=np.int64),
        classes=classes,
        groups=np.array([row.group for row in kept]) if has_groups else None,
        split=splits if np.any(splits != "") else None,
        layout=layout,
        left_out=LeftOut.group([*left_out, *((row.left_out, row.name) for row in rows if row.left_out)]),
    )


def _locate(sheet: Sheet, column: str, root: Root, problems: _Problems) -> list[tuple[str, ImageSource]]:
    """Return name and file of each row; rows that have none are missing, and among the problems."""
    located: dict[str, int] = {}
    images: list[tuple[str, ImageSource]] = []
    cells = sheet.column(column)
    _check_filled(column, cells, [True] * len(cells), problems)
    for row, cell in enumerate(cells):
        if not cell:
            continue
        try:
            name, image = root.locate(cell)
        except PlaceError as error:
            problems.problem(row, column, error.rule, error.value)
            continue
        first = located.setdefault(name, row)
        if first != row:
            again = f"also {'on line' if sheet.unit == 'line' else 'in row'} {sheet.numbers[first]}"
            problems.problem(row, column, "each image must be listed once", again)
        images.append((name, image))
    return images


def _splits(sheet: Sheet, column: str | None, problems: _Problems) -> list[str]:
    """Return for each row one of SPLITS, "" for an empty cell, or a cell that names images without labels."""
    if column is None:
        return [""] * len(sheet.numbers)
    cells = sheet.column(column)
    roles = {cell: cell if cell in SPLITS else split_named_by(cell) for cell in {*cells}}
    splits = []
    for row, cell in enumerate(cells):
        role = roles[cell]
        if cell and role is None:
            rule = f"must be one of {', '.join(SPLITS)}, or empty"
            problems.problem(row, column, rule, cell, did_you_mean(cell, SPLITS))
        splits.append("" if role is None else role if role in SPLITS else cell)
    return splits


def _labels(sheet: Sheet, columns: ColumnChoice) -> list[str]:
    if columns.label is not None:
        return sheet.column(columns.label)
    cells = zip(*(sheet.column(column) for column in columns.classes), strict=True)
    return [columns.classes[[cell.lower() in YES for cell in row].index(True)] for row in cells]


def _check_filled(column: str, cells: Sequence[str], needed: Sequence[bool], problems: _Problems) -> None:
    for row, (cell, is_needed) in enumerate(zip(cells, needed, strict=True)):
        if is_needed and (not cell or cell.lower() == "nan"):
            problems.problem(row, column, "must not be NaN" if cell else "must not be empty")
