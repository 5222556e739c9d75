"""The grid over a space: every one of its recipes, where all its domains are lists or have a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from search_spaces.spaces.space import Point, Space

_MOST_COMPARED: Final = 1000


def grid_points(space: Space) -> Iterator[Point]:
    """Every point, in the order in which `space.at` numbers them. No domain of `space` may be continuous."""
    return space.points(lambda entry, _: map(entry.domain.at, range(entry.domain.size or 0)))


def grid_size(space: Space) -> int:
    """How many recipes the space has; of more than 1,000 points, how many points, some of which may share a recipe.

    Two points share a recipe where they write the same freeze depth, or branches overlap. No domain of `space` may be
    continuous.
    """
    size = space.size()
    assert size is not None, "a continuous range has no grid"
    if size > _MOST_COMPARED:
        return size
    return len({space.recipe(point).identity for point in grid_points(space)})
