"""Readers of manifests in CSV, JSON lines and Parquet: columns of text, and the place of each row in the file."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pyarrow
import pyarrow.parquet

from trainables.datasets.archives import read_place
from trainables.datasets.files import RemoteFile, name_of
from trainables.datasets.tables import EmbeddedImage
from trainables.errors import DataError

__all__ = ["MANIFEST_SUFFIXES", "Sheet", "read_sheet"]

_DELIMITERS: Final = MappingProxyType({",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"})
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; those of UTF-32 stand first, since one of them begins as one of UTF-16."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A manifest's content.

    Attributes:
        name: the file, for messages.
        header: names of all columns.
        unit: `line` or `row`, the thing that `numbers` counts.
        numbers: (N,), the place of each row in the file.
        column: returns the cells of a column as text, (N,): an empty cell is "", and the number NaN is "NaN". Raises
            DataError for a column of other things than text and numbers.
    """

    name: str
    header: tuple[str, ...]
    unit: str
    numbers: Sequence[int]
    column: Callable[[str], list[str]]

    @property
    def head(self) -> str:
        """The header's place for messages, such as `list.csv:1`."""
        return f"{self.name}:1" if self.unit == "line" else self.name

    def place(self, row: int) -> str:
        """Return the place of a row for messages, such as `list.csv:7`."""
        return f"{self.name}:{self.numbers[row]}" if self.unit == "line" else f"{self.name}: row {self.numbers[row]}"


def read_sheet(place: Path | RemoteFile | EmbeddedImage | str) -> Sheet:
    """Read the manifest at a path or URI; its suffix gives the format.

    Args:
        place: a path, a URI or a file inside another that ends with one of MANIFEST_SUFFIXES.

    Raises:
        DataError: the file cannot be read; the message names the line, if it can.
    """
    name = name_of(str(place)) if isinstance(place, RemoteFile | str) else str(place)
    suffix = "." + name.rpartition(".")[2].lower()
    return _READERS[suffix](str(place), _content(place))


def _content(place: Path | RemoteFile | EmbeddedImage | str) -> bytes:
    if not isinstance(place, Path):
        return read_place(place) if isinstance(place, str) else place.read()
    try:
        return place.read_bytes()
    except OSError as error:
        raise DataError(f"{place}: cannot be read: {error.strerror or error}") from None


def _decode(name: str, content: bytes) -> str:
    encoding = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: must be UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8, as a spreadsheet "
            f"does with `CSV UTF-8`"
        ) from None


def _read_csv(name: str, content: bytes) -> Sheet:
    text = _decode(name, content)
    first = next((line for line in text.splitlines() if line.strip()), "")
    excel = first.lower().startswith("sep=") and len(first) == len("sep=,")  # a line that Excel writes and reads
    delimiter = first[-1] if excel else _delimiter(first)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        if excel:
            next(filter(any, reader))
        header = [cell.strip() for cell in next(filter(any, reader), [])]
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except csv.Error as error:
        kind = _DELIMITERS.get(delimiter, "comma")
        raise DataError(f"{name}:{reader.line_num}: must be {kind}-separated values ({error})") from None
    for line, cells in lines:
        if len(cells) != len(header):
            raise DataError(f"{name}:{line}: must have {len(header)} cells, as the header has ({len(cells)})")
    columns = dict(zip(header, map(list, zip(*(cells for _, cells in lines), strict=True)), strict=bool(lines)))
    return Sheet(
        name=name,
        header=tuple(header),
        unit="line",
        numbers=[line for line, _ in lines],
        column=lambda column: columns.get(column, []),
    )


def _delimiter(header: str) -> str:
    """Return the delimiter that cuts the header into the most cells; a comma if none does."""
    cells = {delimiter: len(next(csv.reader([header], delimiter=delimiter), [])) for delimiter in _DELIMITERS}
    return max(_DELIMITERS, key=lambda delimiter: cells[delimiter])


def _read_json_lines(name: str, content: bytes) -> Sheet:
    numbers, records = [], []
    for number, line in enumerate(_decode(name, content).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"{name}:{number}: must be a JSON object on a line ({error})") from None
        if not isinstance(record, dict):
            raise DataError(f"{name}:{number}: must be a JSON object on a line ({type(record).__name__})")
        numbers.append(number)
        records.append(record)
    return Sheet(
        name=name,
        header=tuple(dict.fromkeys(column for record in records for column in record)),
        unit="line",
        numbers=numbers,
        column=lambda column: _texts(name, column, (record.get(column) for record in records)),
    )


def _read_parquet(name: str, content: bytes) -> Sheet:
    try:
        table = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{name}: must be a whole Parquet file ({str(error).splitlines()[0]})") from None

    def column(wanted: str) -> list[str]:
        try:
            values = table.read(columns=[wanted]).column(wanted)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{name}: must be a whole Parquet file ({str(error).splitlines()[0]})") from None
        return _texts(name, wanted, values.to_pylist())

    return Sheet(
        name=name,
        header=tuple(table.schema_arrow.names),
        unit="row",
        numbers=range(1, table.metadata.num_rows + 1),
        column=column,
    )


def _texts(name: str, column: str, values: Iterable[object]) -> list[str]:
    texts = []
    for value in values:
        if value is not None and not isinstance(value, str | int | float):
            raise DataError(f"{name}: column `{column}` must hold text or numbers ({type(value).__name__})")
        texts.append(_text(value))
    return texts


def _text(value: object) -> str:
    """Write a value as a person types it: 3.0 as 3, since whole numbers become floats in a column with gaps."""
    if value is None:
        return ""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    return str(value).strip()


_READERS: Mapping[str, Callable[[str, bytes], Sheet]] = MappingProxyType(
    {".csv": _read_csv, ".tsv": _read_csv, ".jsonl": _read_json_lines, ".parquet": _read_parquet}
)
MANIFEST_SUFFIXES = tuple(_READERS)
"""Suffixes of the formats that `read_sheet` reads."""
