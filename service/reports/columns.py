"""Recipes in a table: short column names, short numbers."""

from __future__ import annotations

from typing import Any

__all__ = ["heading", "short"]


def heading(name: str) -> str:
    """`optimizer.lr` as `lr`, but `dropout.rate` as `dropout`: the part that tells columns apart."""
    group, _, last = name.rpartition(".")
    return group if last in ("name", "rate", "policy") else last


def short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
