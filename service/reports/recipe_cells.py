"""Recipes in tables: short column names, and values as a reader writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.backbones import written_freeze_depth

__all__ = ["heading", "recipe_cell", "short"]


def heading(name: str) -> str:
    """Return the part of a name that tells columns apart: `lr` of `optimizer.lr`, but `dropout` of `dropout.rate`."""
    group, _, last = name.rpartition(".")
    return group if last in ("name", "rate", "policy") else last


def short(value: Any) -> str:
    """Return a value as text, a number with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def recipe_cell(recipe: Mapping[str, Any], name: str, *, own_stages: int | None = None) -> str:
    """Return one value of a recipe for a table; the freeze depth as a sweep file has it, such as `-1`.

    own_stages: the number of stages of its backbone if that is the user's own.
    """
    if name == "freeze_depth" and name in recipe:
        return written_freeze_depth(recipe[name], backbone=str(recipe.get("backbone")), own_stages=own_stages)
    return short(recipe.get(name, ""))
