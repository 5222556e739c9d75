"""Formats of printed data, and counts with their nouns."""

from __future__ import annotations

import re
from enum import StrEnum

__all__ = ["Format", "RecipeFormat", "ReportFormat", "brief", "counted", "plain_reason"]


class Format(StrEnum):
    """A format of `-o`, in which a command prints its data."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


def counted(number: int, noun: str) -> str:
    """Return the number with its noun, such as `1 trial` or `2 trials`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class ReportFormat(StrEnum):
    """A format of reports: a page for people, or the numbers behind it."""

    HTML = "html"
    JSON = "json"


class RecipeFormat(StrEnum):
    """A format of exported recipes.

    RECIPE: YAML that `meltpoint train` reads. JSON: the same as JSON. TIMM: for `train.py --config` of timm.
    TORCHVISION: arguments of references/classification/train.py. LIGHTNING: for LightningCLI.
    ONNX: the model itself, with its preprocessing.
    """

    RECIPE = "recipe"
    JSON = "json"
    TIMM = "timm"
    TORCHVISION = "torchvision"
    LIGHTNING = "lightning"
    ONNX = "onnx"


def plain_reason(error: str | None) -> str:
    """Return why a message waits, from an error that the ledger keeps; None: it was not tried yet."""
    if error is None:
        return "not tried yet"
    return brief(error) if re.match(r"\w+: ", error) else error


def brief(error: str) -> str:
    """Return the end of a chained network error, which says what happened; the rest is addresses and object names."""
    causes = re.findall(r"\[Errno -?\d+\] [^'\")\]>]+|Read timed out|\d{3} [A-Z][a-z]+(?: [A-Z][a-z]+)*", error)
    return causes[-1] if causes else error.splitlines()[0][:200]
