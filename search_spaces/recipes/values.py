"""The values that a hyperparameter may take, and the rule for their equality."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Value", "same"]

Value: TypeAlias = bool | int | float | str | tuple[float, ...]


def same(a: object, b: object) -> bool:
    """Return whether two values are the same choice: 1 and 1.0 are, True and 1 are not; compare pairs by number."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b
