"""The grid over a space: all its recipes, if all its domains are lists or have a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from search_spaces.spaces.space import Point, Space

_MOST_COMPARED: Final = 1000


def grid_points(space: Space) -> Iterator[Point]:
    """Yield every point, in the order of `space.point_at`. No domain of `space` may be continuous."""
    return space.points(lambda entry, _: map(entry.domain.value_at, range(entry.domain.size or 0)))


def grid_size(space: Space) -> int:
    """Return the number of recipes of a space, or above 1,000 points the number of points.

    Two points share a recipe if they spell the same freeze depth differently, or if branches overlap. No domain of
    `space` may be continuous.
    """
    size = space.size()
    assert size is not None, "a continuous range has no grid"
    if size > _MOST_COMPARED:
        return size
    return len({space.recipe(point).identity for point in grid_points(space)})
