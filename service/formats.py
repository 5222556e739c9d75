"""Formats of printed data, and numbers with their nouns."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Format", "counted"]


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


def counted(number: int, noun: str) -> str:
    """Such as `1 trial` and `2 trials`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
