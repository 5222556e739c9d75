"""Manifests: a CSV file that names images, labels and, if wanted, splits and groups."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from search_spaces.errors import did_you_mean, show
from trainables.errors import DataError
from trainables.splits import SPLITS
from trainables.tables import ImageTable

__all__ = ["load_manifest"]

_SHOWN_PROBLEMS = 10
_SPECIAL = ("image", "label", "split")


def load_manifest(path: Path, *, group: str | None) -> ImageTable:
    """The images of a manifest: columns image and label, where present split, where asked the group's.

    Image paths are relative to the manifest's folder. Rows keep the file's order; classes are sorted.
    Raises DataError naming file, line and column for everything that is wrong (the first ten).
    """
    header, rows = _read(path)
    _check_header(path, header, group=group)
    files: dict[str, int] = {}
    problems: list[str] = []
    columns = [column for column in (*_SPECIAL, group) if column in header]
    for line, row in rows:
        problems += [f"{path}:{line}: {problem}" for problem in _row_problems(path, row, columns)]
        first = files.setdefault(str(Path(row["image"])), line)
        if row["image"] and first != line:
            problems.append(f"{path}:{line}: image: each image must be listed once (also on line {first})")
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        tail = [f"... and {more} more"] if more > 0 else []
        raise DataError("\n".join(problems[:_SHOWN_PROBLEMS] + tail))
    if not rows:
        raise DataError(f"{path}: must list images (no rows below the header)")
    return _table(path, [row for _, row in rows], group=group)


def _table(path: Path, rows: list[dict[str, str]], *, group: str | None) -> ImageTable:
    classes = tuple(sorted({row["label"] for row in rows}))
    if len(classes) < 2:
        raise DataError(f"{path}: label: must hold at least two classes (only {show(classes[0])})")
    code = {name: position for position, name in enumerate(classes)}
    return ImageTable(
        name=path.stem,
        images=[path.parent / row["image"] for row in rows],
        names=tuple(Path(row["image"]).as_posix() for row in rows),
        labels=np.array([code[row["label"]] for row in rows], dtype=np.int64),
        classes=classes,
        groups=None if group is None else np.array([row[group] for row in rows]),
        split=np.array([row["split"] for row in rows]) if "split" in rows[0] else None,
    )


def _read(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header, and (line, cells by column) of every row that is not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: must be UTF-8 text ({error.reason} at byte {error.start})") from None
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: must be comma-separated values ({error})") from None
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{path}:{line}: must have {len(header)} cells, as the header has ({len(cells)})")
    return header, [(line, dict(zip(header, cells, strict=True))) for line, cells in rows]


def _check_header(path: Path, header: list[str], *, group: str | None) -> None:
    shown = show(",".join(header))
    for column in ("image", "label"):
        if column not in header:
            raise DataError(f"{path}:1: the header must have a column `{column}` ({shown})")
    if len(set(header)) != len(header):
        raise DataError(f"{path}:1: the header must name each column once ({shown})")
    if group is not None and group not in header:
        hint = did_you_mean(group, [column for column in header if column not in _SPECIAL])
        raise DataError(f"{path}:1: the header must have data.split.group's column `{group}` ({shown}){hint}")


def _row_problems(path: Path, row: dict[str, str], columns: list[str]) -> list[str]:
    problems = [f"{column}: must not be empty" for column in columns if not row[column]]
    if row["image"] and not (path.parent / row["image"]).is_file():
        problems.append(f"image: no such file ({show(row['image'])})")
    split = row.get("split")
    if split and split not in SPLITS:
        hint = did_you_mean(split, SPLITS)
        problems.append(f"split: must be one of {', '.join(SPLITS)} ({show(split)}){hint}")
    return problems
