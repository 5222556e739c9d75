"""`meltpoint schema`."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

SCHEMA_FILE: Final = "meltpoint.schema.json"


class FileKind(StrEnum):
    """A kind of file that has a schema."""

    SWEEP = "sweep"
    RECIPE = "recipe"


def schema(
    kind: Annotated[FileKind, typer.Argument(metavar="KIND", help="`sweep` or `recipe`.")] = FileKind.SWEEP,
) -> None:
    """Print the JSON Schema of the sweep file, or of the recipe file that `export` writes."""
    if kind is FileKind.SWEEP:
        sys.stdout.write(schema_text())
        return
    from service.exports import recipe_schema

    sys.stdout.write(_as_text(recipe_schema()))


def schema_text() -> str:
    """Return the sweep file's schema as a file's text."""
    from search_spaces.schemas import sweep_schema

    return _as_text(sweep_schema())


def _as_text(made: dict[str, Any]) -> str:
    return json.dumps(made, indent=1) + "\n"
