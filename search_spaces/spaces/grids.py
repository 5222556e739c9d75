"""The grid over a space: every one of its recipes, where all its domains are lists or have a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from search_spaces.spaces.space import Point, Space

_MOST_COMPARED: Final = 1000


def grid_points(space: Space) -> Iterator[Point]:
    """Yield every point, in the order in which `space.at` numbers them. No domain of `space` may be continuous."""
    return space.points(lambda entry, _: map(entry.domain.at, range(entry.domain.size or 0)))


def grid_size(space: Space) -> int:
    """Return the number of recipes; if there are more than 1,000 points, the number of points.

    Two points have the same recipe if they write the same freeze depth, or if branches overlap. No domain of `space`
    may be continuous.
    """
    size = space.size()
    assert size is not None, "a continuous range has no grid"
    if size > _MOST_COMPARED:
        return size
    return len({space.recipe(point).identity for point in grid_points(space)})
