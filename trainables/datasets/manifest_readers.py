"""Readers of manifests in CSV and Parquet: each row with its place in the file, and its cells as text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow
import pyarrow.parquet

from trainables.datasets.files import read_uri
from trainables.errors import DataError

__all__ = ["MANIFEST_SUFFIXES", "Cells", "Sheet", "read_sheet"]

Cells = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A manifest's content.

    Attributes:
        header: names of all columns.
        head: the header's place for messages, such as `list.csv:1`.
        rows: (place, cells of the wanted columns), such as (`list.csv:7`, {"image": "a.png", ...}). An empty cell is
            "", and the number NaN is "NaN".
    """

    header: list[str]
    head: str
    rows: list[tuple[str, Cells]]


def read_sheet(place: Path | str, wanted: Collection[str]) -> Sheet:
    """Read the manifest at a path or URI; its suffix gives the format.

    Args:
        place: a path or a URI that ends with one of MANIFEST_SUFFIXES.
        wanted: names of the columns to read.

    Raises:
        DataError: the file cannot be read; the message names the line, if it can.
    """
    suffix = "." + str(place).rpartition(".")[2].lower()
    return _READERS[suffix](str(place), _content(place), wanted)


def _content(place: Path | str) -> bytes:
    if isinstance(place, str):
        return read_uri(place)
    try:
        return place.read_bytes()
    except OSError as error:
        raise DataError(f"{place}: cannot be read: {error.strerror or error}") from None


def _read_csv(name: str, content: bytes, wanted: Collection[str]) -> Sheet:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: must be UTF-8 text ({error.reason} at byte {error.start})") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num}: must be comma-separated values ({error})") from None
    rows = []
    for line, cells in lines:
        if len(cells) != len(header):
            raise DataError(f"{name}:{line}: must have {len(header)} cells, as the header has ({len(cells)})")
        rows.append((f"{name}:{line}", {c: cell for c, cell in zip(header, cells, strict=True) if c in wanted}))
    return Sheet(header=header, head=f"{name}:1", rows=rows)


def _read_parquet(name: str, content: bytes, wanted: Collection[str]) -> Sheet:
    try:
        with pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content)) as file:
            header = list(file.schema_arrow.names)
            table = file.read(columns=[column for column in header if column in wanted])
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{name}: must be a whole Parquet file ({str(error).splitlines()[0]})") from None
    columns = {column: _texts(name, column, table.column(column)) for column in dict.fromkeys(table.column_names)}
    rows = [
        (f"{name}: row {row + 1}", dict(zip(columns, cells, strict=True)))
        for row, cells in enumerate(zip(*columns.values(), strict=True))
    ]
    return Sheet(header=header, head=name, rows=rows)


def _texts(name: str, column: str, values: pyarrow.ChunkedArray) -> list[str]:
    kind = values.type.value_type if pyarrow.types.is_dictionary(values.type) else values.type
    checks = (pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_string_view)
    numbers = (pyarrow.types.is_integer, pyarrow.types.is_floating, pyarrow.types.is_boolean, pyarrow.types.is_null)
    if not any(check(kind) for check in (*checks, *numbers)):
        raise DataError(f"{name}: column `{column}` must hold text or numbers ({kind})")
    return [_text(value) for value in values.to_pylist()]


def _text(value: object) -> str:
    """Write a value as a person types it: 3.0 as 3, since whole numbers become floats in a column with gaps."""
    if value is None:
        return ""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    return str(value).strip()


_READERS: Mapping[str, Callable[[str, bytes, Collection[str]], Sheet]] = MappingProxyType(
    {".csv": _read_csv, ".parquet": _read_parquet}
)
MANIFEST_SUFFIXES = tuple(_READERS)
"""Suffixes of the formats that `read_sheet` reads."""
