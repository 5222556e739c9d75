"""Recipes as a user reads them; JSON keeps the plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search_spaces.backbones import BACKBONES

__all__ = ["freeze_depth_text", "recipe_lines", "recipe_summary"]


def freeze_depth_text(recipe: Mapping[str, Any]) -> str:
    """Return the freeze depth as a sweep file has it: `0`, `all`, or `-1` for all stages but the last.

    The plain number of frozen stages if the number of stages is not known, as of a user's own backbone.
    """
    frozen, stages = recipe["freeze_depth"], _stages(recipe)
    if stages is None or frozen == 0:
        return str(frozen)
    return "all" if frozen == stages else str(frozen - stages)


def recipe_lines(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every name of a recipe with its value; the freeze depth with its number of stages."""
    for name, value in recipe.items():
        if name == "freeze_depth" and _stages(recipe) is not None:
            yield name, f"{freeze_depth_text(recipe)} ({value} of {_stages(recipe)} stages)"
        else:
            yield name, str(value)


def recipe_summary(recipe: Mapping[str, Any]) -> str:
    """Return a recipe in a few words."""
    return (
        f"freeze {freeze_depth_text(recipe)}, {recipe['optimizer.name']} lr {recipe['optimizer.lr']:.2g}, "
        f"dropout {recipe['dropout.rate']:.2g}, {recipe['augment.policy']}"
    )


def _stages(recipe: Mapping[str, Any]) -> int | None:
    info = BACKBONES.get(str(recipe.get("backbone")))
    return None if info is None else info.stages
