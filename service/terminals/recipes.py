"""Recipes as a user reads them; JSON keeps the plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search_spaces.backbones import BACKBONES, written_freeze_depth

__all__ = ["recipe_lines", "recipe_summary"]


def recipe_lines(recipe: Mapping[str, Any], *, own_stages: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield every name of a recipe with its value; the freeze depth with its number of stages.

    own_stages: the number of stages of its backbone if that is the user's own.
    """
    backbone = str(recipe.get("backbone"))
    stages = BACKBONES[backbone].stages if backbone in BACKBONES else own_stages
    for name, value in recipe.items():
        if name == "freeze_depth" and stages is not None:
            depth = written_freeze_depth(value, backbone=backbone, own_stages=own_stages)
            yield name, f"{depth} ({value} of {stages} stages)"
        else:
            yield name, str(value)


def recipe_summary(recipe: Mapping[str, Any]) -> str:
    """Return a recipe in a few words; nothing for a recipe that is not known yet."""
    if not recipe:
        return ""
    depth = written_freeze_depth(recipe["freeze_depth"], backbone=str(recipe.get("backbone")))
    return (
        f"freeze {depth}, {recipe['optimizer.name']} lr {recipe['optimizer.lr']:.2g}, "
        f"dropout {recipe['dropout.rate']:.2g}, {recipe['augment.policy']}"
    )
