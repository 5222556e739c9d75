"""Keys of `data` that commands take without a sweep file, such as `--set data.columns.label=breed`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer

from search_spaces import MeltpointError, parse_spec
from search_spaces.documents import write_document
from service.errors import UsageError

__all__ = ["DataKeys", "ask_by_option", "read_data_keys"]

DataKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="How to read the data: data.root, data.layout, data.columns.label and the like; may be given again.",
    ),
]
_KEYS: Final = re.compile(r"data\.(root|layout|columns|columns\.(image|label|split))=")
_LINE: Final = re.compile(r"write under data: `(?:columns: \{(?P<role>\w+): (?P<column>.*?)\}|root: (?P<root>.*?))`")


def read_data_keys(written: Sequence[str] | None) -> dict[str, Any]:
    """Return the keys of `data` that `--set` gives, checked: `root`, `layout` and `columns`.

    Raises:
        UsageError: another key is given.
        SpecError: a value is not allowed.
    """
    for text in written or ():
        if not _KEYS.match(text):
            raise UsageError(
                f"--set {text}: must give one of data.root, data.layout, data.columns.image, data.columns.label and "
                f"data.columns.split"
            )
    text = write_document({"name": "data", "data": {"source": "data"}, "space": {"extends": "head_only"}})
    data = parse_spec(text, file="data", assign=written or ()).data
    keys = {"root": data.root, "layout": data.layout, "columns": data.columns.model_dump(exclude_none=True)}
    return {key: value for key, value in keys.items() if value}


@contextmanager
def ask_by_option(typed: str) -> Iterator[None]:
    """Raise errors of data again as errors of a command: `typed` names the source, and `--set` is the way out."""
    try:
        yield
    except MeltpointError as error:
        raise UsageError(_LINE.sub(_option, str(error)).replace("data.source", typed, 1)) from None


def _option(match: re.Match[str]) -> str:
    key, value = ("root", match["root"]) if match["role"] is None else (f"columns.{match['role']}", match["column"])
    return f"add {shlex.join(['--set', f'data.{key}={value}'])}"
