"""Sections: what all parts of a report have in common."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["Part", "Section", "decimals", "difference", "duration", "finite", "joined", "named", "ordinal", "score"]


class Part(BaseModel):
    """Base of a report's parts: immutable, and without numbers that JSON does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Section(Part):
    """A section of a report."""

    sentence: str
    """Finding that the picture shows for this sweep; without a picture, the reason why there is none."""
    is_shown: bool = True
    """False if the sweep has too little for a picture."""


def finite(value: float | None) -> float | None:
    """Return a number, or None for one that is not finite."""
    return value if value is not None and math.isfinite(value) else None


def decimals(value: float, places: int = 6) -> float:
    """Return a number with few enough decimals for a file."""
    return round(float(value), places) + 0.0


def score(value: float) -> str:
    """Return a metric's value as text."""
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.4g}"


def difference(first: float, second: float) -> str:
    """Return the distance of two values as text: that of the values as `score` writes them, so that a reader can check.

    Values that differ by less than that are `less than 0.0001` apart.
    """
    shown = abs(float(score(first)) - float(score(second)))
    return score(shown) if shown or first == second else "less than 0.0001"


def ordinal(number: int) -> str:
    """Return a number as an English ordinal, such as `1st` or `12th`."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 10 < number % 100 < 20 else ending}"


def duration(seconds: float) -> str:
    """Return seconds in words, such as `9.1 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def named(trial_id: str) -> str:
    """Return a trial in words: `trial 7` for `s-7f3a9c-0007`, `retraining c002` for `s-7f3a9c-c002`."""
    number = trial_id.rpartition("-")[2]
    return f"trial {int(number)}" if number.isdigit() else f"retraining {number}"


def joined(texts: list[Any]) -> str:
    """Return texts in a row, with commas and a last `and`."""
    words = [str(text) for text in texts]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
