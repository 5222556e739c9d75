"""Search over a grid."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from search_spaces import Point, Space, grid_points, grid_size
from service.ledgers import TrialState
from service.searchers.base import SpaceSearcher, subseed

__all__ = ["GridSearcher"]


class GridSearcher(SpaceSearcher):
    """All recipes of a space without continuous ranges: `first`, the default, then the others in the space's order.

    If there are fewer trials than recipes, recipes are drawn evenly from the whole grid by the seed, so that no value
    of the first names is favoured.
    """

    used_up = None

    def __init__(self, space: Space, *, seed: int, trials: int, first: Sequence[Point] = ()) -> None:
        super().__init__(space, seed=seed, first=first)
        size = space.size()
        assert size is not None, "a continuous range has no grid"
        sampled = trials < grid_size(space)
        self._left = map(space.point_at, _permuted(size, subseed(seed, 0))) if sampled else grid_points(space)

    def _draws(self, _number: int) -> Iterator[Point]:
        """Return the points that are left, for any number."""
        return self._left

    def tell(self, number: int, *, values: Sequence[float], state: TrialState, keeps_limits: bool = True) -> None:
        """Do nothing: a fixed list learns nothing."""


def _permuted(size: int, seed: int) -> Iterator[int]:
    """Yield the numbers below `size` in a random order, without a list of them all."""
    rng, drawn = random.Random(seed), set[int]()
    while len(drawn) < size:
        index = rng.randrange(size)
        if index not in drawn:
            drawn.add(index)
            yield index
