"""`meltpoint schema`."""

from __future__ import annotations

import json
import sys
from typing import Final

SCHEMA_FILE: Final = "meltpoint.schema.json"


def schema() -> None:
    """Print the JSON Schema of the sweep file."""
    sys.stdout.write(schema_text())


def schema_text() -> str:
    """Return the schema as a file's text."""
    from search_spaces.schemas import sweep_schema

    return json.dumps(sweep_schema(), indent=1) + "\n"
