"""Data on stdout in the format asked for; everything else on stderr."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


def stderr() -> Console:
    """Progress and messages; colours only on a terminal and without NO_COLOR."""
    return Console(stderr=True, highlight=False)


def stdout() -> Console:
    return Console(highlight=False)


def print_data(data: Any, form: Format) -> None:
    """Print plain data as JSON, YAML, or (a list of flat objects, or one) CSV."""
    if form is Format.JSON:
        sys.stdout.write(json.dumps(data, indent=2, allow_nan=False) + "\n")
    elif form is Format.YAML:
        YAML(typ="safe", pure=True).dump(data, sys.stdout)
    else:
        sys.stdout.write(_as_csv(data if isinstance(data, list) else [data]))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table; on a pipe every column keeps its full width."""
    console = stdout()
    if not console.is_terminal:
        console = Console(highlight=False, width=10_000)
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _as_csv(rows: Sequence[dict[str, Any]]) -> str:
    flat = [_flatten(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def _flatten(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        flat |= _flatten(inner, f"{prefix}{name}.") if isinstance(inner, dict) else {f"{prefix}{name}": inner}
    return flat
